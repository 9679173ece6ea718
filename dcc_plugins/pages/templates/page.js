"use strict";
const element = (id) => document.getElementById(id);
const [controls, filter, moment, play, status] = ["controls", "filter", "moment", "play", "status"].map(element);
let runs = [], longest = [], timer = 0, followed = true;

const loadMoments = () => {
  runs = JSON.parse(element("content").dataset.moments);
  longest = runs.reduce((best, run) => (run.steps.length > best.length ? run.steps : best), []);
  moment.max = Math.max(0, longest.length - 1);
  document.querySelector(".time").hidden = longest.length < 2;
  if (followed) moment.value = moment.max;
  show();
};

// Each run shows its moment nearest to the same fraction of its steps.
const show = () => {
  const fraction = longest.length > 1 ? moment.value / (longest.length - 1) : 1;
  const words = runs.map((run, index) => {
    const last = run.steps.length - 1;
    const wanted = fraction * run.steps[last];
    const nearest = run.steps.reduce((best, step, i) => (Math.abs(step - wanted) <= Math.abs(run.steps[best] - wanted) ? i : best), 0);
    document.documentElement.style.setProperty(`--at-${index}`, last > 0 ? `${(100 * nearest) / last}%` : "100%");
    return last < 0 || !run.total ? "" : `after ${run.steps[nearest]} of ${run.total} image updates`;
  });
  const text = [...new Set(words.filter(Boolean))].join("; ");
  moment.setAttribute("aria-valuetext", text);
  showStatus(text);
};

const showStatus = (text) => {
  const all = [...document.querySelectorAll(".class")];
  const shown = all.filter((one) => !one.hidden).length;
  const classes = shown === all.length ? `${all.length} classes` : `${shown} of ${all.length} classes`;
  const state = status.dataset.state ? `; ${status.dataset.state}` : "";
  status.textContent = `${classes}${longest.length > 1 && text ? `, ${text}` : ""}${state}`;
};

const filterClasses = () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const one of document.querySelectorAll(".class"))
    one.hidden = !one.querySelector("h3").textContent.toLowerCase().includes(wanted);
  showStatus(moment.getAttribute("aria-valuetext"));
};

const stop = () => {
  clearInterval(timer);
  timer = 0;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
};

play.addEventListener("click", () => {
  if (timer) return stop();
  if (moment.value === moment.max) moment.value = 0;
  play.textContent = "Stop";
  play.setAttribute("aria-pressed", "true");
  show();
  timer = setInterval(() => {
    moment.value = Number(moment.value) + 1;
    followed = moment.value === moment.max;
    show();
    if (followed) stop();
  }, 500);
});
moment.addEventListener("input", () => {
  followed = moment.value === moment.max;
  stop();
  show();
});
filter.addEventListener("input", filterClasses);
controls.addEventListener("submit", (event) => event.preventDefault());
controls.hidden = false;
loadMoments();

// During dcc watch, fetch the page again and replace the content if it has changed.
if (document.body.dataset.live === "yes") {
  let known = "", fetching = false;
  const refresh = async () => {
    if (fetching) return;
    fetching = true;
    try {
      const answer = await fetch("/", { headers: known ? { "If-None-Match": known } : {} });
      if (answer.status === 200) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const open = document.querySelector("details").open;
        element("content").replaceWith(page.getElementById("content"));
        document.querySelector("details").open = open;
        loadMoments();
        filterClasses();
        known = answer.headers.get("ETag");
      }
    } catch {
      clearInterval(polling);
      status.dataset.state = "the run has ended, or dcc watch has stopped";
      showStatus(moment.getAttribute("aria-valuetext"));
    }
    fetching = false;
  };
  const polling = setInterval(refresh, 2000);
}
