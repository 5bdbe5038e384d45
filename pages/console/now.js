// Puts newer numbers into the tables of the page "now" as events bring them. Texts become text nodes, links lead
// to pages of the console alone, and cells stay the elements that they are, so that focus and selection stay too.

const EVENTS = "/console/now/events";
const PAGES = "/console/";
const LIVE = "Live: the numbers move by themselves.";
// Numbers come every two seconds. A connection that is silent for so long is gone, whatever the browser thinks.
const SILENCE_MS = 30_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

const asOf = document.getElementById("as-of");
const connection = document.getElementById("connection");

let source = null;
let pauseMs = FIRST_PAUSE_MS;
let silent = 0;
let again = 0;
let incidents = null;
let news = "";

connect();

function connect() {
  source = new EventSource(EVENTS);
  source.addEventListener("now", (event) => show(JSON.parse(event.data)));
  source.addEventListener("away", () => heard("The database does not answer."));
  source.addEventListener("over", () => stop("Your session is over: reload the page to sign in."));
  source.addEventListener("full", () => stop("Newer pages of yours are live in place of this one: reload to go on here."));
  source.addEventListener("error", lost);
  listen();
}

function show(now) {
  pauseMs = FIRST_PAUSE_MS;
  asOf.textContent = now.as_of;
  for (const [key, rows] of Object.entries(now.panels)) fill(key, rows);
  if (incidents !== null && now.incidents !== incidents) {
    news = now.incidents > incidents ? `A new incident: ${now.incidents} open.` : "";
  }
  incidents = now.incidents;
  heard(news || LIVE);
}

/** Something came, so that the connection is there. */
function heard(text) {
  listen();
  say(text);
}

/** The browser connects again by itself where it can. Where it has given up, we do, ever later. */
function lost() {
  say("The connection is gone, and is tried again.");
  if (source.readyState === EventSource.CLOSED) reconnect();
}

function reconnect() {
  source.close();
  clearTimeout(silent);
  clearTimeout(again);
  again = setTimeout(connect, pauseMs);
  pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
}

function stop(text) {
  source.close();
  clearTimeout(silent);
  say(text);
}

function listen() {
  clearTimeout(silent);
  silent = setTimeout(() => {
    lost();
    reconnect();
  }, SILENCE_MS);
}

/** Screen readers say what changes here, so it changes only when there is something to say. */
function say(text) {
  if (connection.textContent !== text) connection.textContent = text;
}

function fill(key, rows) {
  const body = document.getElementById(key);
  if (body === null) return;
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    cells.forEach((cell, place) => put(row.cells[place] ?? made(row, place), cell));
  });
  document.getElementById(`table-${key}`).hidden = rows.length === 0;
  document.getElementById(`nothing-${key}`).hidden = rows.length > 0;
}

function made(row, place) {
  const cell = document.createElement(place === 0 ? "th" : "td");
  if (place === 0) cell.scope = "row";
  row.append(cell);
  return cell;
}

function put(cell, { text, href, bad }) {
  cell.classList.toggle("bad", bad);
  let holder = cell;
  if (href !== null && href.startsWith(PAGES)) {
    holder = cell.querySelector("a") ?? document.createElement("a");
    if (holder.getAttribute("href") !== href) holder.setAttribute("href", href);
    if (holder.parentNode !== cell) cell.replaceChildren(holder);
  }
  if (holder.textContent !== text || (holder === cell && cell.firstElementChild !== null)) holder.textContent = text;
}
