import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express';
import type { AuditLog } from '../lib/audit-log.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import { type Admission, type Answer, parseReview, reviewOf } from './admission-review.ts';
import { mutate, validate } from './judge.ts';
import type { Hook, WebhookMetrics } from './metrics.ts';
import type { PolicyTools } from './policy.ts';
import { unavailable } from './refusal.ts';

export interface HookTools extends Omit<PolicyTools, 'signal'> {
  readonly audit: AuditLog;
  readonly log: LogLines;
  readonly metrics: WebhookMetrics;
  readonly maxInFlight: number;
}

/** `/mutate` and `/validate`, as webhook configurations name them. Whoever asks is the API server: it is for the network to see to that. */
export function admissionHooks(tools: HookTools, counted: { inFlight: number }): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.set('query parser', 'simple');
  app.use(express.json({ limit: LARGEST_REVIEW }));
  app.post('/mutate', handler('mutate', tools, counted));
  app.post('/validate', handler('validate', tools, counted));
  app.use((_request: Request, response: Response) => {
    response.status(404).json({ message: 'there are /mutate and /validate' });
  });
  const failed: ErrorRequestHandler = (error: unknown, request, response, next) => {
    // What express makes of a body that is too long, or none; whose connection is gone wants no answer.
    if (response.headersSent) {
      next(error);
      return;
    }
    const isTheirs = typeof error === 'object' && error !== null && 'status' in error && error.status !== 500;
    const status =
      isTheirs && typeof error.status === 'number'
        ? error.status
        : error instanceof GuardianError
          ? 400
          : 500;
    tools.log.write('warning', 'review-failed', `${request.path}: ${errorText(error)}`, errorFields(error));
    response.status(status).json({ message: reasonOf(error) });
  };
  app.use(failed);
  return app;
}

/** An API server takes 3 MiB from its clients, and sends the object that is there along with the new one. */
const LARGEST_REVIEW = 8 * 2 ** 20;
/** What an API server waits for at most; ours say how long they do, in the URL. */
const LONGEST_MS = 10_000;
/** An answer that says why beats a connection that was cut. */
const MARGIN_MS = 500;

function handler(hook: Hook, tools: HookTools, counted: { inFlight: number }) {
  return async (request: Request, response: Response): Promise<void> => {
    const { metrics, log } = tools;
    const began = performance.now();
    const seconds = (): number => (performance.now() - began) / 1000;
    let admission: Admission | undefined;
    try {
      admission = parseReview(request.body);
    } catch (error) {
      metrics.judged(hook, undefined, 'failed', seconds());
      throw error;
    }
    counted.inFlight += 1;
    try {
      const answer =
        counted.inFlight > tools.maxInFlight
          ? unavailable(BUSY)
          : await judged(hook, admission, tools, timeLimit(request));
      if (answer.refusedBy !== undefined) metrics.refusedBy(answer.refusedBy);
      metrics.judged(hook, admission, answer.allowed ? 'allowed' : 'denied', seconds());
      response.json(reviewOf(admission.uid, answer));
    } catch (error) {
      metrics.judged(hook, admission, 'failed', seconds());
      log.write('error', 'review-failed', `${hook}: ${errorText(error)}`, errorFields(error));
      response.json(
        reviewOf(admission.uid, unavailable(`this request could not be judged: ${errorText(error)}`)),
      );
    } finally {
      counted.inFlight -= 1;
    }
  };
}

const BUSY = 'too many requests for etcdguardian.io at once; try again';

async function judged(hook: Hook, admission: Admission, tools: HookTools, limitMs: number): Promise<Answer> {
  if (hook === 'mutate') return mutate(admission, tools);
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    const hint = 'The API server answers reviews slowly; try again.';
    deadline.abort(
      new GuardianError('admission.deadline', `no judgement within ${limitMs} ms`, { hint, retryable: true }),
    );
  }, limitMs);
  try {
    const { client, settings, shares } = tools;
    return await validate(admission, { client, settings, shares, signal: deadline.signal }, tools.audit);
  } finally {
    clearTimeout(timer);
  }
}

/** API servers add `?timeout=10s`. */
function timeLimit({ query }: Request): number {
  const [, number = '', unit = ''] =
    /^(\d{1,6})(ms|s)$/.exec(typeof query.timeout === 'string' ? query.timeout : '') ?? [];
  const asked = number === '' ? LONGEST_MS : Number(number) * (unit === 's' ? 1000 : 1);
  return Math.max(MARGIN_MS, Math.min(asked, LONGEST_MS) - MARGIN_MS);
}
