import type { Form } from "../api/queries";

/** What a page of somebody else says in the form's language. */
const WORDS = {
  en: { email: "Email address", button: "Subscribe" },
  de: { email: "E-Mail-Adresse", button: "Anmelden" },
} as const;

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

type Embedded = Pick<Form, "url" | "language" | "fields" | "wording" | "button">;

/** A form for any page: plain HTML that sends the same fields as the form's own page. */
export function embed({ url, language, fields, wording, button }: Embedded): string {
  const words = language === "de" ? WORDS.de : WORDS.en;
  const asked = fields.map(({ field, label, required }) => {
    const kind = field === "phone" ? "tel" : "text";
    return `  <label>${escaped(label)} <input type="${kind}" name="${escaped(field)}"${required ? " required" : ""}></label>`;
  });
  return [
    `<form action="${escaped(url)}" method="post">`,
    `  <label>${words.email} <input type="email" name="email" autocomplete="email" required></label>`,
    ...asked,
    // The words that are agreed to are sent along, so that the record holds what was read.
    `  <label><input type="checkbox" name="consent" value="${escaped(wording)}" required> ${escaped(wording)}</label>`,
    '  <input name="website" tabindex="-1" autocomplete="off" aria-hidden="true" style="position:absolute;left:-10000px">',
    `  <button>${escaped(button ?? words.button)}</button>`,
    "</form>",
  ].join("\n");
}
