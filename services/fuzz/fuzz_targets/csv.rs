//! Any file given to `onhand replay`: each line is a sale or a fault with a name, and none is lost.
#![no_main]
#![allow(dead_code, missing_docs)]

use libfuzzer_sys::fuzz_target;

#[path = "../../onhand/src/replay"]
mod replay {
    mod sale;
    mod source;

    pub(crate) fn read(input: &[u8]) {
        let store: shared_events::StoreId = "A".parse().expect("a name");
        let mut fields = csv::ByteRecord::new();
        let mut source = source::Source::new(input);
        let header = source.next(&mut fields).expect("memory can be read");
        let Some(Ok(())) = header else { return };
        let Ok(layout) = sale::Layout::of(&fields) else { return };
        let reader = sale::Reader::new(layout, std::iter::once(&store));
        let writer = sale::Writer { run: "fuzz".to_owned(), on_shortfall: None };
        let mut number = source.number();
        while let Some(split) = source.next(&mut fields).expect("memory can be read") {
            assert!(source.number() > number, "reading goes on");
            number = source.number();
            if split.is_err() {
                continue;
            }
            if let Ok(reading) = reader.read(&fields) {
                let entry = writer.sale(&store, reading, number, &fields, source.raw());
                serde_json::from_slice::<serde_json::Value>(&entry.json).expect("a line of JSON");
            }
        }
        assert_eq!(usize::try_from(source.bytes()), Ok(input.len()), "everything was read");
    }
}

fuzz_target!(|input: &[u8]| replay::read(input));
