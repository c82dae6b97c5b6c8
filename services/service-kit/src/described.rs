//! What every operation may answer, added to a service's description of itself.

use utoipa::ToSchema as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Schema};

use crate::problem::Problem;

const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json";

/// Answers of the server in front of a router, which no operation declares itself.
const CALLERS: [(&str, &str); 4] = [
    ("414", "The URL is too long."),
    ("422", "A part of the request is not valid."),
    ("429", "The caller asks too often; `Retry-After` says when to come back."),
    ("431", "The headers are too large."),
];
const SERVERS: [(&str, &str); 2] = [
    ("503", "Too much is being served, or not enough is known yet; again after `Retry-After`."),
    ("504", "It took too long."),
];

/// Tells problems as what they are, and what every operation may answer.
pub fn complete(description: &mut OpenApi) {
    for item in description.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
            &mut item.options,
            &mut item.head,
            &mut item.trace,
        ];
        for operation in operations.into_iter().flatten() {
            complete_operation(operation);
        }
    }
}

fn complete_operation(operation: &mut Operation) {
    let answers = &mut operation.responses.responses;
    for answer in answers.values_mut() {
        if let RefOr::T(answer) = answer {
            tell_problems(answer);
        }
    }
    for (whole, each) in [("4XX", CALLERS.as_slice()), ("5XX", SERVERS.as_slice())] {
        if answers.contains_key(whole) {
            continue;
        }
        for (status, description) in each {
            answers.entry((*status).to_owned()).or_insert_with(|| problem(description).into());
        }
    }
}

/// The derive knows a body's schema, and takes its kind for JSON.
fn tell_problems(answer: &mut Response) {
    let is_problem = answer.content.get(JSON).is_some_and(|content| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
            schema.ref_location.ends_with("/Problem")
        }
        _ => false,
    });
    if is_problem && let Some(content) = answer.content.shift_remove(JSON) {
        answer.content.insert(PROBLEM.to_owned(), content);
    }
}

fn problem(description: &str) -> Response {
    let schema: RefOr<Schema> = Ref::from_schema_name(Problem::name()).into();
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content(PROBLEM, content).build()
}
