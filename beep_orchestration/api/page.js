"use strict";

// What both pages share: elements, requests with a token, and dates. Texts from the API become text nodes only.

const TOKEN = "beep-token";

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
  }
}

// A token is kept for this tab only, and sent as a header: there is no cookie that another site could use.
async function ask(path, { method = "GET", body, accept = "application/json", headers = {}, signal } = {}) {
  for (;;) {
    const sent = { Accept: accept, ...headers };
    const token = sessionStorage.getItem(TOKEN);
    if (token) sent.Authorization = `Bearer ${token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    const content = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(path, { method, headers: sent, body: content, signal, cache: "no-store" });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    if (answer.status !== 401) throw new Refusal(answer.status, problem);
    await askForToken(Boolean(token));
  }
}

let tokenDialog = null;

function askForToken(isWrong) {
  tokenDialog ??= new Promise((resolve) => {
    const input = element("input", { type: "password", autocomplete: "off", required: true, ariaLabel: "Token" });
    const form = element("form", { method: "dialog" },
      element("p", {}, isWrong ? "The server does not know this token." : "This server asks for a token."),
      input, element("div", { class: "actions" }, element("button", { class: "main", type: "submit" }, "Go on")));
    const dialog = element("dialog", { oncancel: (event) => event.preventDefault() }, form);
    form.addEventListener("submit", () => {
      sessionStorage.setItem(TOKEN, input.value.trim());
      tokenDialog = null;
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return tokenDialog;
}

function confirmed(question, action) {
  return new Promise((resolve) => {
    const close = (answer) => { dialog.remove(); resolve(answer); };
    const dialog = element("dialog", { oncancel: () => close(false) },
      element("p", {}, question),
      element("div", { class: "actions" },
        element("button", { onclick: () => close(false) }, "Keep it"),
        element("button", { class: "danger", onclick: () => close(true) }, action)));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Server-Sent Events by fetch, because EventSource cannot send a token; goes on after the last id when it is cut off.
async function follow(path, cursor, onEvent, onLink) {
  for (;;) {
    try {
      const headers = cursor.last === null ? {} : { "Last-Event-ID": cursor.last };
      const answer = await ask(path, { accept: "text/event-stream", headers });
      if (answer.status === 204) return;
      onLink("live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const fields = Object.fromEntries(block.split("\n").map((line) => {
            const colon = line.indexOf(":");
            return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
          }));
          if (fields.id) cursor.last = fields.id;
          if (fields.data) onEvent(JSON.parse(fields.data));
        }
      }
    } catch (error) {
      if (error instanceof Refusal && error.status !== 503) throw error;
    }
    onLink("lost");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function showLink(state) {
  const link = document.getElementById("link");
  link.className = `link ${state}`;
  link.textContent = { live: "live", lost: "connecting again", ended: "", still: "" }[state];
}

function showProblem(main, error) {
  main.replaceChildren(element("section", { class: "card" },
    element("h1", {}, error instanceof Refusal && error.status === 404 ? "No such execution" : "This did not work"),
    element("p", { class: "note bad" }, error.message)));
}

function clock(text) {
  return new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function moment(text) {
  const date = new Date(text);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(text) : `${date.toLocaleDateString()} ${clock(text)}`;
}

function count(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}

function duration(milliseconds) {
  const seconds = Math.max(milliseconds, 0) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  const [size, unit] = units[first];
  const [nextSize, nextUnit] = units[first + 1];
  return `${Math.floor(seconds / size)} ${unit} ${Math.floor((seconds % size) / nextSize)} ${nextUnit}`;
}

// What a person wants to know first: running is not said of what waits.
function mood(status) {
  if (status.status !== "running") return status.status;
  if (status.pauses.length > 0) return "paused";
  return status.waiting_for.length > 0 ? "waiting" : "running";
}
