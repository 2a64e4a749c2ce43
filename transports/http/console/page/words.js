/** What the page says when something is not as it should be: what happened, and what to do. */

/** For an error of `getUserMedia`: text, and whether typing is a way on. */
export function microphoneProblem(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The microphone is blocked for this page. Allow it in the address bar of your browser, then press the button again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Connect one, or choose another under Devices, then press the button again.";
    case "NotReadableError":
      return "The microphone is in use by another program. Close it there, then press the button again.";
    case "InsecureContext":
      return "Browsers give the microphone to secure pages only: open this page by https, or on this machine by localhost.";
    default:
      return `The microphone cannot be used: ${error.message}`;
  }
}

/** For a CallProblem. */
export function callProblem({ kind, message }) {
  switch (kind) {
    case "busy":
      return `The service has no room right now: ${message}`;
    case "offline":
      return "This device is offline.";
    case "no-network":
      return "No network is up on this machine. Browsers make no calls without one, not even to this machine: a virtual interface will do.";
    case "network":
      return `No connection: ${message}`;
    default:
      return message;
  }
}

/** For a call that was lost, while it is made again. */
export function lossProblem(reason) {
  return reason?.code === "service_stopping" ? "The service is being restarted." : "The connection was lost.";
}

export const STATUS = {
  idle: "Ready",
  connecting: "Connecting…",
  listening: "Listening",
  hearing: "Hearing you",
  thinking: "Thinking…",
  speaking: "Speaking",
  muted: "Muted",
  typing: "Typing only",
  reconnecting: "Reconnecting…",
  ended: "Call ended",
};
