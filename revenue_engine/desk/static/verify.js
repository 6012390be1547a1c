// Checks the token of a paper's QR in this browser, by the county's published keys; then asks whether it still holds.
"use strict";
const told = document.getElementById("told");
const say = (words) => { told.hidden = false; told.textContent = words; };
const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
const hex = (raw) => Array.from(raw, (each) => each.toString(16).padStart(2, "0")).join("");
async function check(token) {
  let raw;
  try { raw = bytes(token.replaceAll("-", "+").replaceAll("_", "/")); } catch { raw = new Uint8Array(); }
  if (raw.length !== 87) { say("NOT OURS: a part of the code is missing, or it is no code of a paper."); return; }
  const body = raw.slice(0, 23), signature = raw.slice(23), view = new DataView(body.buffer);
  const keys = await (await fetch("/v/keys.json")).json(), key = keys[hex(body.slice(1, 5))];
  const context = new TextEncoder().encode("revenue-engine paper 1\n");
  const signed = new Uint8Array([...context, ...body]);
  let ours = false;
  if (key) {
    const made = await crypto.subtle.importKey("raw", bytes(key), "Ed25519", false, ["verify"]);
    ours = await crypto.subtle.verify("Ed25519", made, signature, signed);
  }
  if (!ours) { say("NOT OURS: no key of this county signed this paper."); return; }
  const cents = view.getBigUint64(13), day = new Date(Date.UTC(2020, 0, 1 + view.getUint16(21)));
  const kind = ["RCT", "ACK"][body[5]], year = String(view.getUint16(7)).padStart(4, "0");
  const number = `${kind}-${year}-${String(view.getUint32(9)).padStart(6, "0")}`;
  say(`Signed by the county: ${number}, KSh ${cents / 100n}.${String(cents % 100n).padStart(2, "0")}, paid ` +
    `${day.toISOString().slice(0, 10)}. Whether it was cancelled since is known online.`);
  await online(token);
}
async function online(token) {
  // A phone may believe in a network that leads nowhere: the page is left only for one that answers.
  const at = "/v?token=" + encodeURIComponent(token);
  const answer = await fetch(at, { cache: "no-store" });
  if (answer.ok || answer.status === 404) location.replace(at);
}
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/v/worker.js", { scope: "/v" }).catch(() => {});
const token = location.hash.slice(1);
if (token) check(token).catch(() => online(token)).catch(() => {
  if (told.hidden) say("This cannot be checked without a network on this phone: open the page once while there is one.");
});
