interface Policy { createHTML(html: string): unknown }
interface Types { createPolicy(name: string, rules: { createHTML(html: string): string }): Policy }

/** The only way in which a text becomes HTML here: into a frame where nothing runs. */
const types = (globalThis as { trustedTypes?: Types }).trustedTypes;
const policy: Policy = types?.createPolicy("preview", { createHTML: (html) => html }) ?? { createHTML: (html) => html };

/** What holds inside the frame, besides its sandbox: styles and pictures, nothing else. */
const RULES = "default-src 'none'; style-src 'unsafe-inline'; img-src data: https: http:; font-src data:; form-action 'none'; base-uri 'none'";

/** A mail as the page of a frame. The policy stands first, before anything of the mail. */
export function framePage(html: string, dark = false): string {
  const scheme = dark ? '<meta name="color-scheme" content="dark">' : '<meta name="color-scheme" content="light">';
  return `<!doctype html><meta http-equiv="Content-Security-Policy" content="${RULES}">${scheme}<base target="_blank">${html}`;
}

export function showIn(frame: HTMLIFrameElement, page: string) {
  (frame as { srcdoc: unknown }).srcdoc = policy.createHTML(page);
}
