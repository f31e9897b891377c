import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { VERSION } from '../lib/program-version.ts';
import type { Admission } from './admission-review.ts';

export type Hook = 'mutate' | 'validate';
export type Outcome = 'allowed' | 'denied' | 'failed';

/** What Prometheus scrapes. Nothing that a sender chooses becomes a label. */
export interface WebhookMetrics {
  judged(hook: Hook, admission: Admission | undefined, outcome: Outcome, seconds: number): void;
  refusedBy(policy: string): void;
  /** When the certificate that is served ends. */
  certificateUntil(time: Date): void;
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

export function webhookMetrics(inFlight: () => number): WebhookMetrics {
  const registry = new Registry();
  const named = (what: string, help: string): { name: string; help: string; registers: Registry[] } => ({
    ...{ name: `etcdguardian_admission_${what}`, help, registers: [registry] },
  });
  const requests = new Counter({
    ...named('requests_total', 'Reviews that were answered'),
    labelNames: ['hook', 'kind', 'operation', 'result'],
  });
  const duration = new Histogram({
    ...named('duration_seconds', 'How long an answer took, with what the API server was asked for it'),
    labelNames: ['hook'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  });
  const refusals = new Counter({
    ...named('refusals_total', 'Requests that were refused, by the policy that objected first'),
    labelNames: ['policy'],
  });
  const certificate = new Gauge(
    named('certificate_until_timestamp_seconds', 'When the certificate that is served ends'),
  );
  new Gauge({
    ...named('in_flight', 'Reviews that are being judged'),
    collect() {
      this.set(inFlight());
    },
  });
  new Gauge({
    ...{ name: 'etcdguardian_build_info', help: 'The program that runs', registers: [registry] },
    labelNames: ['version'],
  }).set({ version: VERSION }, 1);
  return {
    judged(hook, admission, result, seconds) {
      const { kind = 'unknown', operation = 'unknown' } = admission ?? {};
      requests.inc({ hook, kind, operation, result });
      duration.observe({ hook }, seconds);
    },
    refusedBy: (policy) => {
      refusals.inc({ policy });
    },
    certificateUntil: (time) => {
      certificate.set(time.getTime() / 1000);
    },
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
