// Drive the vendors' JavaScript clients: one JSON job a line on standard input, one JSON outcome a line on standard output.
// Knows no test: each job says what to call, with which arguments, on a client made how. Usage: node driver.mjs openai|groq|together

import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

const packages = { openai: 'openai', groq: 'groq-sdk', together: 'together-ai' };
const vendor = await import(packages[process.argv[2]]);
const Client = vendor.default;

const forms = {
  stream: (file) => fs.createReadStream(file),
  file: (file) => new File([fs.readFileSync(file)], path.basename(file)),
  blob: async (file) => vendor.toFile(new Blob([fs.readFileSync(file)]), 'upload'),
  buffer: (file) => vendor.toFile(fs.readFileSync(file), path.basename(file)),
  response: (file) => new Response(fs.readFileSync(file)),
};

async function given(file) {
  return file.as === 'str' ? file.url : forms[file.as](file.path);
}

async function call(client, job) {
  const args = { ...job.arguments };
  if (job.file) args.file = await given(job.file);
  switch (job.call) {
    case 'transcribe': return client.audio.transcriptions.create(args);
    case 'translate': return client.audio.translations.create(args);
    case 'speak': case 'speak_streaming': return client.audio.speech.create(args);
    case 'voices': return client.audio.voices.list();
    case 'models': return client.models.list();
    case 'model': return client.models.retrieve(job.id);
    case 'request': return client[job.method.toLowerCase()](job.path);
    default: throw new Error(`unknown call ${job.call}`);
  }
}

function classes(error) {
  const names = [];
  for (let type = error?.constructor; type?.name; type = Object.getPrototypeOf(type)) names.push(type.name);
  return names;
}

function describe(error) {
  const { status, code, param, type, requestID, error: body } = error;
  return { classes: classes(error), message: String(error?.message ?? error), status, code, param, type, request_id: requestID, body };
}

async function collect(stream) {
  const events = [];
  try {
    for await (const event of stream) events.push(event);
  } catch (error) {
    return { events, stream_error: describe(error) };
  }
  return { events };
}

// Sound goes to a file: as it comes, or once it is there.
async function keep(response, job) {
  const told = { class: response.constructor.name, content_type: response.headers.get('content-type') };
  if (job.call === 'speak') {
    fs.writeFileSync(job.to, Buffer.from(await response.arrayBuffer()));
  } else {
    const file = fs.openSync(job.to, 'w');
    for await (const bytes of response.body) fs.writeSync(file, bytes);
    fs.closeSync(file);
  }
  return told;
}

async function answer(job) {
  try {
    const result = await call(new Client(job.client), job);
    if (job.to) return { ok: true, ...(await keep(result, job)) };
    if (job.arguments?.stream) return { ok: true, ...(await collect(result)) };
    const value = job.call === 'models' ? (result.data ?? result) : result;
    return { ok: true, class: typeof result, value, request_id: result?._request_id };
  } catch (error) {
    return { ok: false, error: describe(error) };
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
