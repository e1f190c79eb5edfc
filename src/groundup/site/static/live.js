// Server-sent events, from where the page left off. A page in the background lets go of its connection (a browser has
// only six for each site) and catches up when it is looked at again.
export function follow(address, position, handlers) {
  let last = position;
  let source = null;

  function open() {
    if (source) return;
    source = new EventSource(last ? `${address}?after=${encodeURIComponent(last)}` : address);
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (event) => {
        last = event.lastEventId || last;
        handle(JSON.parse(event.data), close);
      });
    }
    source.onerror = () => {
      // The browser tries again by itself, except when it was refused.
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => document.hidden || open(), 2000);
      }
    };
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => document.hidden || open());
  if (!document.hidden) open();
  return close;
}
