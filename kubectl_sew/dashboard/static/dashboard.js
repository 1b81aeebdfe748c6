// What moves on a page: parts that are read again, times of this place, a query that is read as it is typed.
"use strict";

const live = document.getElementById("live");
const state = document.getElementById("state");

// Adds this place's time to each moment that is given in UTC.
function localTimes(within) {
  for (const element of within.querySelectorAll("time:not([title])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const sameDay = moment.toDateString() === new Date().toDateString();
    const local = sameDay ? moment.toLocaleTimeString() : moment.toLocaleString();
    element.title = moment.toString();
    if (moment.getTimezoneOffset() !== 0) element.append(` (${local} here)`);
  }
}

// Replaces the part that moves, unless somebody reads or marks it; the focus stays where it was.
function show(text) {
  const chosen = document.getSelection();
  if (chosen && !chosen.isCollapsed && live.contains(chosen.anchorNode)) return;
  const open = [...live.querySelectorAll("details")].map((one) => one.open);
  const focused = live.contains(document.activeElement) ? document.activeElement : null;
  const href = focused && focused.getAttribute("href");
  const label = focused && focused.getAttribute("aria-label");
  const scrolled = [...live.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  live.innerHTML = text;
  live.querySelectorAll("details").forEach((one, at) => { one.open = Boolean(open[at]); });
  live.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
  localTimes(live);
  const again = [...live.querySelectorAll("a, [tabindex]")].find(
    (one) => (href && one.getAttribute("href") === href) || (label && one.getAttribute("aria-label") === label));
  if (focused && again) again.focus({ preventScroll: true });
}

async function read(address) {
  const answer = await fetch(address, { headers: { "X-Part": "1" }, credentials: "same-origin" });
  if (answer.status === 403) throw new Error("this page was let in by an earlier start: open the new link");
  return answer.text();
}

// Seconds between two readings; what is still being worked on is looked at each second, and shown whole once it is done.
const every = Number(live.dataset.every) * 1000;
const working = live.querySelector("[data-again]") !== null;
let last = live.innerHTML;

async function again() {
  if (!document.hidden) {
    try {
      const text = await read(location.href.split("#")[0]);
      if (text !== last) show(text);
      last = text;
      state.textContent = "";
    } catch (error) {
      const why = error instanceof TypeError ? "kubectl sew dashboard has ended" : error.message;
      state.textContent = `Not up to date: ${why}.`;
    }
    if (working && live.querySelector("[data-again]") === null) {
      location.reload();
      return;
    }
  }
  setTimeout(again, working ? 1000 : every);
}

// The query lab: reads what is typed after a short pause.
const query = document.querySelector("[data-lab]");
let pause;
if (query) {
  query.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(async () => {
      const address = `/query?query=${encodeURIComponent(query.value)}`;
      try {
        const text = await read(address);
        if (address.endsWith(encodeURIComponent(query.value))) show(text);
        history.replaceState(null, "", address);
        state.textContent = "";
      } catch (error) {
        state.textContent = "Not up to date: kubectl sew dashboard has ended.";
      }
    }, 250);
  });
  for (const button of document.querySelectorAll("[data-insert]")) {
    button.addEventListener("click", () => {
      query.setRangeText(button.dataset.insert, query.selectionStart, query.selectionEnd, "end");
      query.dispatchEvent(new Event("input"));
      query.focus();
    });
  }
}

// A button whose work takes a while says so, and is not pressed twice.
for (const form of document.querySelectorAll("form[data-works]")) {
  form.addEventListener("submit", () => {
    state.textContent = `${form.dataset.works} this may take a minute.`;
    const button = form.querySelector("button");
    setTimeout(() => { button.disabled = true; }, 0);
  });
}

localTimes(document);
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (new Date().getTimezoneOffset() !== 0) document.getElementById("zone").textContent = `, and of ${zone}`;
if (working || every) setTimeout(again, working ? 1000 : every);
