// Classify text on the visitor's own machine: ONNX Runtime's WebAssembly build, a tokenizer, an int8 model.
// Everything comes from the folder of this page. Nothing large is fetched before somebody asks for it.

const here = new URL("./", import.meta.url).href;

async function get(path) {
  const response = await fetch(here + path);
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}

export async function models() {
  return (await get("models.json")).json();
}

async function download(path, say) {
  const reader = (await get(path)).body.getReader();
  const parts = [];
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    say((bytes += part.value.length));
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Load one entry of models.json. Returns a function: text -> {label, labels, probabilities, pieces, cut, milliseconds}. */
export async function load(model, say = () => {}) {
  const [ort, { Tokenizer }] = await Promise.all([import(here + "ort.wasm.min.mjs"), import(here + "tokenizers.min.mjs")]);
  ort.env.wasm.wasmPaths = here; // never from elsewhere
  ort.env.wasm.numThreads = 1; // more threads need headers that a plain web server doesn't send
  const words = JSON.parse(new TextDecoder().decode(await download(`${model.folder}/tokenizer.json`, () => {})));
  const tokenizer = new Tokenizer(words, {});
  const network = await download(`${model.folder}/model.onnx`, say);
  const session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });

  return async function classify(text) {
    const start = performance.now();
    let ids = tokenizer.encode(text).ids; // [CLS] … [SEP], as long as the text is
    const pieces = ids.length;
    if (pieces > model.limit) ids = [...ids.slice(0, model.limit - 1), ids.at(-1)]; // cut, and keep [SEP]
    const tensor = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, ids.length]);
    const { logits } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
    const scores = Array.from(logits.data);
    const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
    const sum = powers.reduce((a, b) => a + b);
    const probabilities = powers.map((power) => power / sum);
    const label = model.labels[probabilities.indexOf(Math.max(...probabilities))];
    const milliseconds = performance.now() - start;
    return { label, labels: model.labels, probabilities, pieces, cut: pieces > model.limit, milliseconds };
  };
}

// --- the page ---

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function show(answer, place) {
  const order = answer.probabilities.map((p, i) => [p, answer.labels[i]]).sort((a, b) => b[0] - a[0]);
  place.replaceChildren(
    ...order.slice(0, 5).map(([share, label]) => {
      const row = document.createElement("tr");
      const [name, number, bar] = ["th", "td", "td"].map((kind) => row.appendChild(document.createElement(kind)));
      name.scope = "row";
      name.textContent = label.replaceAll("_", " ");
      number.textContent = `${(100 * share).toFixed(1)} %`;
      bar.setAttribute("aria-hidden", "true");
      bar.appendChild(document.createElement("div")).style.width = `${(100 * share).toFixed(1)}%`;
      return row;
    }),
  );
}

async function start(form) {
  const [text, choice, button] = ["text", "model", "go"].map((name) => form.elements[name]);
  const [status, rows] = ["status", "rows"].map((id) => document.getElementById(id));
  const known = await models();
  const loaded = {};
  choice.replaceChildren(...known.map((model) => new Option(`${model.title} (${megabytes(model.bytes)})`, model.name)));
  const chosen = () => known.find((model) => model.name === choice.value);
  const describe = () => {
    button.textContent = loaded[choice.value] ? "Classify" : `Load ${megabytes(chosen().bytes)} and classify`;
  };
  const change = () => {
    text.value = chosen().example;
    rows.replaceChildren();
    status.textContent = loaded[choice.value] ? "" : "Nothing has been loaded yet.";
    describe();
  };
  const answer = async () => {
    const model = chosen();
    button.disabled = choice.disabled = true;
    try {
      loaded[model.name] ??= await load(model, (bytes) => {
        status.textContent = `loading: ${megabytes(bytes)} of the model`;
      });
      const said = await loaded[model.name](text.value);
      show(said, rows);
      const cut = said.cut ? `, of which the first ${model.limit - 1} and the end mark were read` : "";
      status.textContent = `${said.label.replaceAll("_", " ")}: ${said.milliseconds.toFixed(1)} ms for ${said.pieces} pieces${cut}.`;
    } catch (error) {
      status.textContent = `This did not work: ${error.message}`;
    }
    button.disabled = choice.disabled = false;
    describe();
  };
  choice.addEventListener("change", change);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
  });
  const asked = new URLSearchParams(location.search); // index.html?model=requests&text=… opens with an answer
  if (asked.has("model")) choice.value = asked.get("model");
  if (!chosen()) choice.value = known[0].name;
  change();
  if (asked.has("text")) {
    text.value = asked.get("text");
    await answer();
  }
}

const form = document.getElementById("try");
if (form) {
  start(form).catch((error) => {
    document.getElementById("status").textContent = `This page could not start: ${error.message}`;
  });
}
