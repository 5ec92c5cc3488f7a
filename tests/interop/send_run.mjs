// One run by docs/semantic-conventions.md, from Node.js: the official SDK, unmodified, and nothing of evsys.
//
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 node send_run.mjs http|proto|grpc
//
// Prints the ids that it chose, as JSON. It records as a loop would: every value at its step, events as they happen.
import { randomUUID } from 'node:crypto';
import { diag, DiagConsoleLogger, DiagLogLevel, SpanStatusCode } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

const STEPS = 60;
const transport = process.argv[2];
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${transport}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${transport}`);
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${transport}`);

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
const resource = resourceFromAttributes({ 'service.name': 'trainer', 'evsys.project.id': 'interop' });
const loggers = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })] });
const meters = new MeterProvider({ resource, readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() })] });
const tracers = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
const logger = loggers.getLogger('trainer');
const meter = meters.getMeter('trainer');
const tracer = tracers.getTracer('trainer');

const experiment = { 'evsys.experiment.id': randomUUID(), 'evsys.experiment.name': 'from Node.js' };
const group = { ...experiment, 'evsys.group.id': randomUUID(), 'evsys.group.name': 'lr=0.1' };
const run = { ...group, 'evsys.run.id': randomUUID(), 'evsys.run.name': 'seed=7' };
const evalId = randomUUID();
const checkpointId = randomUUID();

const say = (eventName, attributes, body) => logger.emit({ eventName, attributes, body });
const tell = (name, attributes) => tracer.startSpan(name, { attributes });

const gauges = new Map();
function log(name, value, step, split = 'train') {
  if (!gauges.has(name)) gauges.set(name, meter.createGauge(`evsys.run.${name.replaceAll(/[^\w./-]/g, '_')}`));
  gauges.get(name).record(value, { ...run, 'evsys.split': split, 'evsys.metric.name': name, 'evsys.step': step });
}

say('evsys.experiment.start', {
  ...experiment, 'evsys.experiment.hypothesis': 'any SDK will do', 'evsys.experiment.tags': ['node', 'größer'],
});
say('evsys.group.start', group);
say('evsys.run.start', { ...run, 'evsys.run.seed': 7, 'evsys.run.recipe': 'sft', 'evsys.run.config': JSON.stringify({ lr: 0.1 }) });
const whole = tell('run seed=7', { 'evsys.record': 'run', ...run });

for (let step = 0; step < STEPS; step++) {
  log('loss', 1 / (step + 1), step);
  log('reward (mean)', step, step);
  if (step % 10 === 0) log('loss', 0.5 - step / 7, step, 'val');
  if (step % 20 === 19) await meters.forceFlush(); // as the interval does: a cumulative reader sends the old points again
}
[Number.NaN, Infinity, -Infinity, -0].forEach((value, step) => log('limits', value, step));

const scored = tell('eval digits', {
  'evsys.record': 'eval', ...run, 'evsys.eval.id': evalId, 'evsys.eval.name': 'digits', 'evsys.benchmark.id': 'digits-v1',
  'evsys.step': STEPS, 'evsys.eval.metrics': JSON.stringify({ accuracy: 0.9, n: 10 }), 'evsys.eval.tags': ['quick'],
  'evsys.eval.breakdowns': JSON.stringify({ odd: { accuracy: 0.8 } }),
});
for (let i = 0; i < 10; i++) {
  say('evsys.prediction', { ...run, 'evsys.eval.id': evalId, 'evsys.step': STEPS }, {
    kind: 'eval', task_id: `task-${i % 5}`, sample_idx: Math.floor(i / 5), instruction: 'Which digit?', model_output: `${i}: ✓`,
    expected: String(i), reward: i / 4, advantage: -1, metadata: JSON.stringify({ i }),
  });
}
scored.end();
tell('checkpoint last', {
  'evsys.record': 'checkpoint', ...run, 'evsys.checkpoint.id': checkpointId, 'evsys.checkpoint.uri': 'file:///checkpoints/last',
  'evsys.checkpoint.label': 'last', 'evsys.checkpoint.is_final': true, 'evsys.checkpoint.base_model': 'digits-base', 'evsys.step': STEPS,
}).end();

const failed = { 'evsys.run.status': 'failed', 'evsys.run.error': 'out of patience' };
say('evsys.run.end', { ...run, ...failed });
whole.setAttributes(failed).setStatus({ code: SpanStatusCode.ERROR, message: 'out of patience' }).end();
say('evsys.group.end', { ...group, 'evsys.group.status': 'completed' });
say('evsys.experiment.end', {
  ...experiment, 'evsys.experiment.status': 'completed', 'evsys.experiment.conclusion': 'it does', 'evsys.experiment.best_score': 1,
});

await Promise.all([loggers.shutdown(), meters.shutdown(), tracers.shutdown()]);
console.log(JSON.stringify({
  experiment: experiment['evsys.experiment.id'], group: group['evsys.group.id'], run: run['evsys.run.id'], eval: evalId, checkpoint: checkpointId,
}));
