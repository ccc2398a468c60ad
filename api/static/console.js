// The pages of /rq. Takes the place of rq-dashboard's scripts, which evaluate templates and put what stands in
// Redis into HTML as it is. Here everything becomes text nodes: the policy of the pages forbids anything else.
"use strict";

const page = document.getElementById("page");
const rows = document.getElementById("rows");
const notice = document.getElementById("notice");
const { kind, prefix, token } = page.dataset;

const REGISTRIES = ["queued", "started", "finished", "failed", "deferred", "scheduled", "canceled"];
const encode = (...parts) => parts.map(encodeURIComponent).join("/");
const jobAddress = (id) => `${prefix}0/view/job/${encode(id)}`;
const jobsAddress = (queue, registry, perPage = 20, order = "asc", number = 1) =>
  `${prefix}0/view/jobs/${encode(queue, registry, perPage, order, number)}`;

function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat().map((each) => (each instanceof Node ? each : String(each ?? ""))));
  return made;
}

const link = (text, address) => element("a", text, { href: address });
const row = (...cells) => element("tr", cells.map((cell) => element("td", cell)));

function moment(text) {
  if (!text) return "–";
  const made = new Date(text);
  return Number.isNaN(made.getTime()) ? text : element("time", made.toLocaleString(), { datetime: text, title: text });
}

const show = {
  queues({ queues }) {
    const count = (queue, registry) =>
      link(registry === "queued" ? queue.count : queue[`${registry}_job_registry_count`], jobsAddress(queue.name, registry));
    return queues.map((queue) => row(queue.name, ...REGISTRIES.map((registry) => count(queue, registry))));
  },

  workers({ workers }) {
    const current = (job) => (job === "idle" ? "–" : link(job.call_string ?? job.job_id, jobAddress(job.job_id)));
    return workers.map((worker) =>
      row(worker.name, worker.state, worker.queues.join(", "), current(worker.current_job),
        moment(worker.last_heartbeat), worker.successful_job_count, worker.failed_job_count));
  },

  jobs({ jobs, pagination }) {
    showPages(pagination);
    return jobs.map((job) =>
      row([link(job.id, jobAddress(job.id)), element("div", job.description, { class: "small" })],
        job.status ?? "–", moment(job.created_at), moment(job.ended_at), element("pre", job.exc_info)));
  },

  job(job) {
    const mayChange = token !== undefined && job.origin === "tasks";
    document.getElementById("changes")?.toggleAttribute("hidden", !mayChange);
    document.getElementById("requeue")?.toggleAttribute("hidden", job.status !== "failed");
    const facts = {
      Description: job.description,
      Queue: job.origin ? link(job.origin, jobsAddress(job.origin, "queued")) : "–",
      Status: job.status,
      Created: moment(job.created_at),
      Enqueued: moment(job.enqueued_at),
      Started: moment(job.started_at),
      Ended: moment(job.ended_at),
      Result: element("pre", job.result === null ? "–" : JSON.stringify(job.result, null, 2)),
      Error: element("pre", job.exc_info ?? "–"),
      Metadata: job.metadata,
      "Depends on": (job.depends_on ?? ["–"]).join(", "),
    };
    return Object.entries(facts).flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
  },
};

function source() {
  const { queue, registry, perPage, order, page: number, job } = page.dataset;
  if (kind === "jobs") return `${prefix}0/data/jobs/${encode(queue, registry, perPage, order, number)}.json`;
  if (kind === "job") return `${prefix}0/data/job/${encode(job)}.json`;
  return `${prefix}0/data/${kind}.json`;
}

function showPages({ current_page: current, num_pages: last, pages_in_window: numbers }) {
  const { queue, registry, perPage, order } = page.dataset;
  const to = (label, number) => link(label, jobsAddress(queue, registry, perPage, order, number));
  const window = numbers.map(({ number }) =>
    number === current ? element("strong", number, { "aria-current": "page" }) : to(number, number));
  document.getElementById("pages").replaceChildren(
    ...(last > 1 ? [to("« first", 1), ...window, to(`last (${last}) »`, last)] : []));
}

// Figures that could not be fetched again must not look as if they were of now.
function say(message) {
  notice.textContent = message;
  notice.hidden = !message;
  document.body.classList.toggle("stale", Boolean(message));
}

async function failure(answer) {
  if (answer.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    return "The session has ended.";
  }
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? `The server answered ${answer.status}.`;
}

async function refresh() {
  try {
    const answer = await fetch(source(), { headers: { Accept: "application/json" } });
    if (!answer.ok) return say(`${await failure(answer)} What stands below is old.`);
    const found = show[kind](await answer.json());
    rows.replaceChildren(...(found.length ? found : [element("tr", element("td", "None.", { colspan: 8 }))]));
    document.getElementById("as-of").textContent = new Date().toLocaleTimeString();
    say("");
  } catch {
    say("The server cannot be reached. What stands below is old.");
  }
}

async function poll() {
  if (document.getElementById("autorefresh").checked && !document.hidden) await refresh();
  setTimeout(poll, Number(page.dataset.pollMilliseconds));
}

async function change(button) {
  if (!confirm(`${button.textContent}?`)) return;
  const headers = { Accept: "application/json", "X-CSRF-Token": token };
  const answer = await fetch(prefix + button.dataset.change, { method: "POST", headers }).catch(() => null);
  if (answer?.ok) await refresh();
  else say(answer ? await failure(answer) : "The server cannot be reached.");
}

document.addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement && target.dataset.change) change(target);
});

document.getElementById("chooser")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = new FormData(event.target);
  location.assign(jobsAddress(...["queue", "registry", "per_page", "order"].map((name) => chosen.get(name))));
});

refresh().then(() => setTimeout(poll, Number(page.dataset.pollMilliseconds)));
