"use strict";

const main = document.getElementById("main");
const parent = new URLSearchParams(location.search).get("parent_execution_id");
const shown = { status: "", cursor: null, rows: [] };

function progress(status) {
  const stages = Object.values(status.activities);
  const done = stages.reduce((sum, stage) => sum + stage.done, 0);
  const total = stages.reduce((sum, stage) => sum + stage.total, 0);
  const bar = element("span");
  bar.style.width = `${total === 0 ? 0 : (100 * done) / total}%`;
  const label = `${done} of ${total} activities`;
  return element("div", { class: `stage-small${status.status === "completed" ? " done" : ""}`, title: label },
    element("div", { class: "bar small", role: "img", ariaLabel: label }, bar));
}

function row(status) {
  const state = mood(status);
  const end = status.completed_at ? new Date(status.completed_at) : new Date();
  return element("tr", {},
    element("td", { class: "shrink" }, element("span", { class: `pill ${state}` }, state)),
    element("td", {}, element("a", { href: `/workflows/${status.execution_id}` },
      element("div", { class: "about" }, status.about ?? ""), element("div", { class: "id" }, status.execution_id))),
    element("td", { class: "shrink" }, status.workflow_type),
    element("td", { class: "shrink" }, progress(status)),
    element("td", { class: "shrink" }, moment(status.started_at)),
    element("td", { class: "shrink" }, duration(end - new Date(status.started_at))));
}

function heading() {
  if (parent === null) return element("div", {}, element("h1", {}, "Executions"));
  const link = element("a", { class: "id", href: `/workflows/${encodeURIComponent(parent)}` }, parent);
  return element("div", {}, element("h1", {}, "Children"), element("div", {}, "of ", link));
}

function render() {
  const select = element("select", { ariaLabel: "Which executions", onchange: (event) => { shown.status = event.target.value; load(); } },
    ...[["", "All"], ["running", "Running"], ["waiting", "Waiting"], ["paused", "Paused"], ["completed", "Completed"], ["failed", "Failed"], ["cancelled", "Cancelled"]].map(
      ([value, text]) => element("option", { value, selected: value === shown.status }, text)));
  const heads = [["State", "shrink"], ["Execution", ""], ["Type", "shrink"], ["Progress", "shrink"], ["Started", "shrink"], ["Took", "shrink"]];
  const table = element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map(([text, kind]) => element("th", { class: kind, scope: "col" }, text)))),
    element("tbody", {}, ...shown.rows.map(row)));
  main.replaceChildren(element("section", { class: "card" },
    element("div", { class: "head" }, heading(), element("div", { class: "filters" }, select)),
    shown.rows.length === 0
      ? element("p", { class: "empty" }, shown.status ? `None is ${shown.status}.` : "None yet. Start one with  beep start FILE  or  POST /workflows.")
      : element("div", { class: "scroll" }, table),
    shown.cursor === null ? null
      : element("div", { class: "more" }, element("button", { onclick: () => load(shown.cursor) }, "Show older ones"))));
}

async function load(cursor = null) {
  const query = new URLSearchParams({ limit: "50" });
  if (shown.status) query.set("status", shown.status);
  if (parent) query.set("parent_execution_id", parent);
  if (cursor) query.set("cursor", cursor);
  try {
    const page = await (await ask(`/workflows?${query}`)).json();
    shown.rows = cursor ? [...shown.rows, ...page.executions] : page.executions;
    shown.cursor = page.cursor;
    render();
    showLink("still");
  } catch (error) {
    if (shown.rows.length === 0) showProblem(main, error);
    else showLink("lost");
  }
}

async function refresh() {
  // only the first page moves; who reads older ones is left in peace
  if (!document.hidden && shown.rows.length <= 50 && document.activeElement?.tagName !== "SELECT") await load();
  setTimeout(refresh, 3000);
}

document.getElementById("crumbs").textContent = "Executions";
load().then(() => setTimeout(refresh, 3000));
