// What the scripts for Node.js share, as ../evidence.py does for Python's: an end in time, a clear
// failure, another try for what a busy machine can fail, one line of evidence. Times are nanoseconds of CLOCK_MONOTONIC, the clock of Python's
// servers.

const now = () => Number(process.hrtime.bigint());
const milliseconds = (nanoseconds) => Math.round(nanoseconds / 1e4) / 100;

function fail(sentence) {
  process.stderr.write(`FAILED: ${sentence}\n`);
  process.exit(1);
}

function check(condition, sentence) {
  if (!condition) fail(sentence);
}

/** A check that a busy machine can fail whatever the gateway does. The script is worth another try. */
function checkTime(condition, sentence) {
  if (condition) return;
  process.stderr.write(`LATE: ${sentence}\n`);
  process.exit(75);
}

/** Two values are the same JSON. */
function same(what, found, expected) {
  const [here, there] = [found, expected].map((value) => JSON.stringify(value));
  check(here === there, `${what}: ${here}, not ${there}`);
}

/** Runs a script, whose evidence is what `main` returns. */
function run(main, seconds) {
  setTimeout(() => fail(`not finished within ${seconds} s`), seconds * 1000).unref();
  const { values, positionals } = require("node:util").parseArgs({
    allowPositionals: true,
    options: { direct: { type: "string" } },
  });
  main(positionals, values).then(
    (evidence) => {
      console.log(JSON.stringify({ node: process.version, ...evidence }));
      // A connection that a client keeps open must not keep the script alive.
      process.exit(0);
    },
    (error) => fail(error.stack),
  );
}

/** Milliseconds until the condition held. */
async function waitUntil(condition, seconds, sentence) {
  const begin = now();
  while (!(await condition())) {
    checkTime(now() - begin < seconds * 1e9, sentence);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return milliseconds(now() - begin);
}

/** The error that a call ends with, which has to be of this class. */
async function errorOf(what, kind, call) {
  try {
    await call();
  } catch (error) {
    check(error instanceof kind, `${what}: ${error.constructor.name}: ${error.message}, no ${kind.name}`);
    return error;
  }
  fail(`${what}: no error`);
}

const gaps = (arrivals) => arrivals.slice(1).map((later, at) => later - arrivals[at]);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Arrivals keep the pace they were sent with, as ../evidence.py has it. */
function checkPaced(what, arrivals, interval) {
  const values = gaps(arrivals);
  const span = milliseconds(arrivals.at(-1) - arrivals[0]);
  checkTime(span >= 0.8 * interval * values.length, `${what}: ${arrivals.length} arrivals within ${span} ms: a burst`);
  const bunched = values.filter((gap) => gap < (interval * 1e6) / 5).length;
  checkTime(bunched <= values.length / 5, `${what}: ${bunched} of ${values.length} gaps are bunched`);
  return { arrivals: arrivals.length, span_ms: span, gap_median_ms: milliseconds(median(values)), bunched };
}

let turns = 0;
let counting = false;

/** The turn of Node's loop that this is. What comes out of one read is seen in one turn. */
function turn() {
  if (!counting) {
    counting = true;
    setImmediate(() => {
      counting = false;
      turns += 1;
    });
  }
  return turns;
}

/** Parts that arrive as they are made: many, and not most of them in one turn. A busy machine has fewer turns. */
function checkSpread(what, arrivals, parts) {
  const moments = new Map();
  for (const arrival of arrivals) moments.set(arrival, (moments.get(arrival) ?? 0) + 1);
  const largest = Math.max(...moments.values());
  checkTime(
    arrivals.length >= parts / 2 && largest <= parts / 2,
    `${what}: ${arrivals.length} parts, ${largest} of them at once`,
  );
  return { parts: arrivals.length, turns: moments.size, largest };
}

/** Sent → received. Half of them within 10 ms. */
function checkPrompt(what, delays) {
  const half = milliseconds(median(delays));
  checkTime(half <= 10, `${what}: half of the events took over ${half} ms from server to client`);
  return { delay_median_ms: half };
}

module.exports = {
  check,
  checkTime,
  checkPaced,
  checkPrompt,
  checkSpread,
  errorOf,
  fail,
  milliseconds,
  now,
  run,
  same,
  turn,
  waitUntil,
};
