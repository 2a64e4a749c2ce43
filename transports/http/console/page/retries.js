/**
 * When to call again after a call was lost. Pure: chance is an argument.
 *
 * Fast at first, for a network that comes back; then for as long as a service takes to be deployed and to load its
 * models. All pages of a service lose their calls at the same moment: chance keeps them from calling at the same one.
 */

const FIRST_MS = 500;
const LONGEST_MS = 4_000;
const GIVE_UP_MS = 180_000;
const BRIEF_MS = 10_000;

/** Yields how long to wait before each try, in milliseconds, until it is time to give up. */
export function* retries(random = Math.random) {
  let waitedMs = 0;
  for (let steadyMs = FIRST_MS; waitedMs < GIVE_UP_MS; steadyMs = Math.min(2 * steadyMs, LONGEST_MS)) {
    const delayMs = Math.round(steadyMs * (0.75 + random() / 2));
    waitedMs += delayMs;
    yield delayMs;
  }
}

/** Whether a call that the service has ended is to be made again: `code` is that of its last event, where it was an error.
 * One that fails as soon as it is there will fail again. */
export function isWorthAnother(code, lastedMs) {
  return code === "service_stopping" || (code === "server_error" && lastedMs > BRIEF_MS);
}

/** Whether another try may help: a service that is away or full may come back, one that refuses will refuse again. */
export const mayPass = ({ kind }) => kind === "network" || kind === "offline" || kind === "busy";
