// Links for others: the address of the server as they reach it, and the view that is on the screen.

import { address } from "./state.js";

const HERE = new Set(["127.0.0.1", "localhost", "[::1]"]);

/**
 * The link to what is on the screen. Whoever came by a name of the network can hand that on; on the server's own
 * machine,
 * the address that it listens on is taken where there is one.
 * @param {string} link the address that the server tells
 * @param {{origin: string, hostname: string}} here where this page was opened
 */
export function shared(link, here = location) {
  const told = new URL(link, here.origin);
  const reached = HERE.has(here.hostname) && !HERE.has(told.hostname) ? told.origin : here.origin;
  return `${reached}/${told.search}${address()}`;
}

/** Puts a text on the clipboard; without https browsers know only the old way. @param {string} text */
export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      /* not allowed: the old way */
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
