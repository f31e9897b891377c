import type { ClientHttp2Session } from 'node:http2';

/**
 * Ends a session within 11 seconds of the other side's last word: it is asked after `ASK_AFTER` of silence, and has until
 * `END_AFTER` to answer. Returns what is to be called for whatever it says. Only while a call runs: etcd closes connections
 * that ask without one, or more often than every 5 s (--grpc-keepalive-min-time).
 */
export function endWhenSilent(session: ClientHttp2Session): () => void {
  // Counted, not timed: a process that was stopped itself has heard nothing meanwhile, and blames nobody for it.
  let seconds = 0;
  const heard = (): void => {
    seconds = 0;
  };
  const counting = setInterval(() => {
    seconds++;
    if (seconds === ASK_AFTER && !session.destroyed) {
      session.ping((error) => {
        if (error === null) heard();
      });
    }
    if (seconds === END_AFTER) session.destroy(new Error('the other side has fallen silent'));
  }, 1_000);
  session.once('close', () => {
    clearInterval(counting);
  });
  return heard;
}

/** Seconds. */
const ASK_AFTER = 6;
const END_AFTER = 11;
