// Keeps the page that verifies papers, and the county's published keys, so that a phone without a network verifies too.
"use strict";
const KEPT = "papers-1";
const PAGES = ["/v", "/v/keys.json", "/static/verify.js", "/static/desk.css"];
self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(PAGES)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const asked = new URL(event.request.url);
  if (event.request.method !== "GET" || asked.search || !PAGES.includes(asked.pathname)) return;
  // The network goes first: a key that was published since is known at once. What came is kept for the next time.
  event.respondWith(fetch(event.request).then((came) => {
    if (came.ok) {
      const copy = came.clone();
      event.waitUntil(caches.open(KEPT).then((kept) => kept.put(asked.pathname, copy)));
    }
    return came;
  }).catch(() => caches.match(asked.pathname, { ignoreVary: true }).then((found) => found || Response.error())));
});
