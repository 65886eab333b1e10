// Search in the site's sections, in the visitor's browser: nothing that is typed leaves it.
const root = new URL(document.documentElement.dataset.content_root, location.href);
const field = document.querySelector("#search-page input");
const list = document.querySelector("#found");
const said = document.querySelector("#said");
const engine = import(new URL("pagefind/pagefind.js", root)).then(async (pagefind) => {
  await pagefind.options({ baseUrl: root.pathname, excerptLength: 25 });
  return pagefind;
});
let newest = 0;

function entry({ url, meta, excerpt }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  Object.assign(link, { href: url, textContent: meta.title });
  const page = document.createElement("p");
  Object.assign(page, { className: "page", textContent: meta.page });
  const text = document.createElement("p");
  text.innerHTML = excerpt; // escaped by Pagefind, with <mark> round what was found
  item.append(link, ...(meta.page === meta.title ? [] : [page]), text);
  return item;
}

async function search() {
  const mine = ++newest, query = field.value.trim();
  history.replaceState(null, "", query ? `?q=${encodeURIComponent(query)}` : location.pathname);
  if (!query) { list.replaceChildren(); said.textContent = ""; return; }
  try {
    const { results } = await (await engine).search(query);
    const first = await Promise.all(results.slice(0, 20).map((r) => r.data()));
    if (mine !== newest) return;
    list.replaceChildren(...first.map(entry));
    said.textContent = results.length ? `${results.length} sections found` : `Nothing found for “${query}”.`;
  } catch {
    said.textContent = "The search needs a web server: python -m http.server -b 127.0.0.1 in the site's folder, then open the address it prints.";
  }
  document.body.dataset.searched = query;
}

document.querySelector("#search-page").addEventListener("submit", (event) => { event.preventDefault(); search(); });
field.addEventListener("input", search);
field.value = new URLSearchParams(location.search).get("q") ?? "";
search();
field.focus();
