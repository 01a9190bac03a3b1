/**
 * What runs in the page in the place of the start that the package has: it finds the API key, or asks for it, and starts GraphiQL
 * with it. The key comes in the address behind `#`, which is sent to no server; it is kept in the tab's sessionStorage and taken
 * out of the address. `options` are GraphiQL's.
 */
export const startScript = (options: object): string => `
(() => {
  const OPTIONS = ${toScript(options)};
  const KEPT_AS = 'sluice.key';
  const FORMAT = /^slc_[A-Za-z0-9_-]{32,200}$/;
  const root = document.querySelector('#root');

  // Apart from what other GraphiQLs on this host and port keep, which would take the place of the first tab.
  const ours = (name) => 'sluice:' + name;
  const kept = () => Object.keys(localStorage).filter((name) => name.startsWith(ours('')));
  const storage = {
    getItem: (name) => localStorage.getItem(ours(name)),
    setItem: (name, value) => localStorage.setItem(ours(name), value),
    removeItem: (name) => localStorage.removeItem(ours(name)),
    clear: () => kept().forEach((name) => localStorage.removeItem(name)),
    get length() { return kept().length; },
  };

  function takeKeyFromAddress() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const key = parts.get('key');
    if (key === null) return false;
    parts.delete('key');
    const rest = parts.size > 0 ? '#' + parts : '';
    history.replaceState(null, '', location.pathname + location.search + rest);
    if (FORMAT.test(key)) sessionStorage.setItem(KEPT_AS, key);
    return true;
  }

  async function start(hint) {
    const key = sessionStorage.getItem(KEPT_AS);
    if (key === null) return ask(hint);
    const authorization = 'Bearer ' + key;
    const isUnknown = await fetch(OPTIONS.endpoint, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{"query":"{__typename}"}',
    }).then((response) => response.status === 401, () => false);
    if (isUnknown) {
      sessionStorage.removeItem(KEPT_AS);
      return ask('The server does not know this key, or no longer.');
    }
    YogaGraphiQL.renderYogaGraphiQL(root, {
      ...OPTIONS,
      storage,
      // Of its default tabs GraphiQL fills in the operations only. What it has kept is not to be replaced.
      ...(storage.getItem('graphiql:tabState') === null && { variables: OPTIONS.defaultTabs[0].variables }),
      additionalHeaders: { authorization },
      connectionParams: { authorization },
      onEditQuery() {},
    });
  }

  function ask(hint) {
    root.innerHTML = document.querySelector('#ask').innerHTML;
    const [form, input, output] = ['form', 'input', 'output'].map((name) => root.querySelector(name));
    output.textContent = hint ?? '';
    input.focus();
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (!FORMAT.test(key)) {
        output.textContent = 'This is no key: one begins with slc_ and has 36 characters or more.';
        return;
      }
      sessionStorage.setItem(KEPT_AS, key);
      root.replaceChildren();
      void start();
    });
  }

  addEventListener('hashchange', () => {
    if (takeKeyFromAddress()) location.reload();
  });
  takeKeyFromAddress();
  void start();
})();
`;

/** JSON that ends no script element, whatever it holds. */
const toScript = (value: object) => JSON.stringify(value).replaceAll('<', '\\u003c');

/** The form for the key, copied into the page when there is none. */
export const ASK_FORM = `
<template id="ask">
  <form class="ask" autocomplete="off">
    <h1>Sluice</h1>
    <label for="key">An API key is needed here.</label>
    <input id="key" type="password" placeholder="slc_…" spellcheck="false" autocomplete="off">
    <button>Open GraphiQL</button>
    <output role="alert"></output>
    <p>The first start of the server prints an address that has one in it.
      The key stays in this tab, and is forgotten with it.</p>
  </form>
</template>
<style>
  .ask { max-width: 26rem; margin: 18vh auto 0; padding: 0 1rem; display: grid; gap: .75rem;
    font: 1rem/1.5 system-ui, sans-serif; color: #1d2b3a; }
  .ask h1 { margin: 0; font-size: 1.6rem; }
  .ask input, .ask button { font: inherit; padding: .55rem .7rem; border-radius: .4rem; border: 1px solid #8a97a6; }
  .ask input { background: #fff; color: inherit; }
  .ask button { background: #0b5cad; border-color: #0b5cad; color: #fff; cursor: pointer; }
  .ask output { color: #b3261e; min-height: 1.5em; }
  .ask p { margin: 0; font-size: .875rem; color: #55616e; }
  @media (prefers-color-scheme: dark) {
    body { background: #212a3b; }
    .ask, .ask h1 { color: #e6ebf1; } .ask p { color: #a9b4c0; } .ask output { color: #ffb4ab; }
    .ask input { background: #14181f; }
  }
</style>
`;
