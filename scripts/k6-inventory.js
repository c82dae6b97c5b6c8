// Tills sell and count at their stores, a storefront asks the centre: an open load, which does not wait for
// slow answers before it sends more.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';

const centre = __ENV.CENTRE || 'http://127.0.0.1:8080';
const stores = (__ENV.STORES || 'A=http://127.0.0.1:8081,B=http://127.0.0.1:8082,C=http://127.0.0.1:8083')
  .split(',')
  .map((store) => ({ id: store.split('=')[0], url: store.slice(store.indexOf('=') + 1) }));
const rate = Number(__ENV.RATE || 50);
const duration = __ENV.DURATION || '20s';
const items = Number(__ENV.ITEMS || 200);
const json = { 'content-type': 'application/json' };

const booked = new Counter('sales_booked');
const age = new Trend('answer_age', true);

const open = (exec, share) => ({
  executor: 'constant-arrival-rate',
  exec,
  rate: Math.max(1, Math.round(rate * share)),
  timeUnit: '1s',
  duration,
  preAllocatedVUs: 20,
  maxVUs: 200,
});

export const options = {
  scenarios: { sales: open('sale', 0.5), counts: open('count', 0.1), questions: open('question', 0.4) },
  thresholds: {
    // A shelf that does not cover a sale is an answer (409), not a failure.
    checks: ['rate==1'],
    dropped_iterations: ['count==0'],
    'http_req_duration{kind:write}': ['p(95)<100', 'p(99)<500'],
    'http_req_duration{kind:read}': ['p(95)<50', 'p(99)<250'],
    // What the centre says of itself: heard of every store within its bound.
    answer_age: ['p(99)<5000'],
    // Or it would have proved nothing.
    sales_booked: ['count>0'],
  },
};

const any = (list) => list[Math.floor(Math.random() * list.length)];
const sku = (run) => `${run}-${Math.floor(Math.random() * items)}`;

function command(name, store, body, key) {
  return http.post(
    `${store.url}/api/commands/inventory/${name}`,
    JSON.stringify(Object.assign({ storeId: store.id }, body)),
    {
      headers: Object.assign({ 'idempotency-key': key }, json),
      tags: { kind: 'write', name },
      responseCallback: http.expectedStatuses(200, 409),
    },
  );
}

// Every item in every store, in one batch for each. The run's name goes from here to all who take part.
export function setup() {
  const run = __ENV.RUN || `k6-${Date.now()}`;
  for (const store of stores) {
    const lines = [];
    for (let item = 0; item < items; item++) {
      lines.push(JSON.stringify({ storeId: store.id, sku: `${run}-${item}`, quantity: 1000 }));
    }
    const answer = http.post(`${store.url}/api/commands/inventory/batch`, lines.join('\n'), {
      headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': `${run}-opening-${store.id}` },
      tags: { kind: 'opening' },
    });
    if (answer.status !== 200) throw new Error(`opening store ${store.id}: ${answer.status} ${answer.body}`);
  }
  return run;
}

export function sale(run) {
  const store = any(stores);
  const key = `${run}-${__VU}-${__ITER}-s`;
  const answer = command('adjust', store, { sku: sku(run), delta: -1 }, key);
  check(answer, { 'a sale is booked or refused for its stock': (r) => r.status === 200 || r.json('code') === 'insufficient_stock' });
  if (answer.status === 200) booked.add(1);
}

export function count(run) {
  const store = any(stores);
  const answer = command('replace', store, { sku: sku(run), quantity: 1000 }, `${run}-${__VU}-${__ITER}-c`);
  check(answer, { 'a count is booked': (r) => r.status === 200 && r.json('onHand') === 1000 });
}

export function question(run) {
  const asked = sku(run);
  const answer = http.get(`${centre}/api/query/inventory/global/${asked}`, { tags: { kind: 'read', name: 'global' } });
  check(answer, {
    'a question is answered': (r) => r.status === 200,
    'the sum is the sum of the stores': (r) =>
      r.json('quantity') === r.json('stores').reduce((sum, store) => sum + store.quantity, 0),
  });
  const ms = answer.json('asOf.ageMs');
  if (ms !== undefined) age.add(ms);
}

// What every store says in the end, the centre must come to say.
export function teardown(run) {
  for (let item = 0; item < items; item++) {
    const asked = `${run}-${item}`;
    const here = stores
      .map((store) => http.get(`${store.url}/api/query/inventory/store/${store.id}/${asked}`).json('quantity'))
      .reduce((sum, quantity) => sum + quantity, 0);
    let seen;
    for (let attempt = 0; attempt < 100 && seen !== here; attempt++) {
      seen = http.get(`${centre}/api/query/inventory/global/${asked}`).json('quantity');
    }
    check(seen, { 'the centre came to the stores\' sum': (quantity) => quantity === here });
  }
}
