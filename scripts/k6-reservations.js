// Customers reserve a few scarce items, fetch them or let go: nothing may be promised beyond the shelf.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';

const centre = __ENV.CENTRE || 'http://127.0.0.1:8080';
const stores = (__ENV.STORES || 'A=http://127.0.0.1:8081,B=http://127.0.0.1:8082,C=http://127.0.0.1:8083')
  .split(',')
  .map((store) => ({ id: store.split('=')[0], url: store.slice(store.indexOf('=') + 1) }));
const rate = Math.max(1, Math.round(Number(__ENV.RATE || 50) / 5));
const duration = __ENV.DURATION || '20s';
// So few that most customers come too late.
const items = Number(__ENV.ITEMS || 4);
const units = Number(__ENV.UNITS || 10);
const json = { 'content-type': 'application/json' };

const confirmed = new Counter('reservations_confirmed');
const rejected = new Counter('reservations_rejected');
const fetched = new Counter('units_fetched');
const confirming = new Trend('confirming', true);

export const options = {
  scenarios: {
    customers: {
      executor: 'constant-arrival-rate',
      exec: 'customer',
      rate,
      timeUnit: '1s',
      duration,
      preAllocatedVUs: 20,
      maxVUs: 200,
      gracefulStop: '30s',
    },
  },
  thresholds: {
    // One failed check is one promise broken.
    checks: ['rate==1'],
    dropped_iterations: ['count==0'],
    confirming: ['p(95)<250', 'p(99)<1000'],
    // Or it would have proved nothing.
    reservations_confirmed: ['count>0'],
    reservations_rejected: ['count>0'],
    units_fetched: ['count>0'],
  },
};

const level = (store, sku) => http.get(`${store.url}/api/query/inventory/store/${store.id}/${sku}`).json();
const post = (path, body, key) =>
  http.post(`${centre}${path}`, body === undefined ? null : JSON.stringify(body), {
    headers: Object.assign({ prefer: 'wait=10', 'idempotency-key': key }, json),
    // A rejection is an answer.
    responseCallback: http.expectedStatuses({ min: 200, max: 299 }, 409),
  });

// The run's name goes from here to all who take part.
export function setup() {
  const run = __ENV.RUN || `k6-${Date.now()}`;
  for (const store of stores) {
    for (let item = 0; item < items; item++) {
      const answer = http.post(
        `${store.url}/api/commands/inventory/replace`,
        JSON.stringify({ storeId: store.id, sku: `${run}-${item}`, quantity: units }),
        { headers: json },
      );
      if (answer.status !== 200) throw new Error(`opening: ${answer.status} ${answer.body}`);
    }
  }
  const all = units * stores.length;
  for (let item = 0; item < items; item++) {
    let seen;
    for (let attempt = 0; attempt < 500 && seen !== all; attempt++) {
      seen = http.get(`${centre}/api/query/inventory/global/${run}-${item}`).json('available');
    }
    if (seen !== all) throw new Error(`the centre offers ${seen} of ${all}`);
  }
  return run;
}

export function customer(run) {
  const name = `${run}-${exec.scenario.iterationInTest}`;
  const sku = `${run}-${Math.floor(Math.random() * items)}`;
  const quantity = 1 + Math.floor(Math.random() * 2);
  const began = Date.now();
  const answer = post('/api/reservations', { orderId: name, lines: [{ sku, quantity }], ttlSeconds: 600 }, name);
  const state = answer.json('state');
  check(answer, { 'reserved or rejected': (r) => ['confirmed', 'rejected'].includes(r.json('state')) });
  if (state !== 'confirmed') {
    rejected.add(1);
    return;
  }
  confirmed.add(1);
  confirming.add(Date.now() - began);
  const id = answer.json('reservationId');
  const again = post('/api/reservations', { orderId: name, lines: [{ sku, quantity }], ttlSeconds: 600 }, name);
  check(again, { 'sent again it is the same one': (r) => r.json('reservationId') === id });
  // A third fetch it, a third let go, a third keep it for now.
  const choice = exec.scenario.iterationInTest % 3;
  if (choice === 0) {
    const done = post(`/api/reservations/${id}/fulfil`, undefined, `${name}-fulfil`);
    if (check(done, { 'handed over': (r) => r.status === 200 && r.json('state') === 'fulfilled' })) fetched.add(quantity);
  } else if (choice === 1) {
    const done = post(`/api/reservations/${id}/cancel`, undefined, `${name}-cancel`);
    check(done, { 'let go': (r) => r.json('state') === 'released' });
  }
}

// By the stores' own books: never more kept than there is, and what is gone was fetched.
export function teardown(run) {
  for (let item = 0; item < items; item++) {
    const sku = `${run}-${item}`;
    let onHand = 0;
    let reserved = 0;
    for (const store of stores) {
      const shelf = level(store, sku);
      onHand += shelf.onHand;
      reserved += shelf.reserved;
      check(shelf, { 'no store promised more than it has': (s) => s.onHand >= 0 && s.reserved <= s.onHand });
      const events = http
        .get(`${store.url}/api/query/inventory/store/${store.id}/${sku}/events?limit=1000`)
        .json('events');
      check(events, {
        'and never had': (list) =>
          list.length > 0 && list.every((e) => e.data.reserved === undefined || e.data.reserved <= e.data.onHand),
      });
      const fulfilled = events
        .filter((e) => e.type.startsWith('inventory.reservation-fulfilled.'))
        .reduce((sum, e) => sum - e.data.delta, 0);
      check(fulfilled, { 'what is gone was handed over': (gone) => gone === units - shelf.onHand });
    }
    let seen;
    for (let attempt = 0; attempt < 500; attempt++) {
      seen = http.get(`${centre}/api/query/inventory/global/${sku}`).json();
      if (seen.onHand === onHand && seen.reserved === reserved) break;
    }
    check(seen, { 'the centre came to the stores\' sums': (s) => s.onHand === onHand && s.reserved === reserved });
  }
}
