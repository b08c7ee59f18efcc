import type { Schemas } from "../api/client";

type Content = Schemas["Content"];

/** What a new campaign begins with: each compiles, and has the link to leave that a start needs. */
export const STARTERS = {
  newsletter: {
    format: "mjml",
    body: `<mjml>
  <mj-head>
    <mj-attributes>
      <mj-all font-family="Helvetica, Arial, sans-serif" />
      <mj-text font-size="16px" line-height="1.6" color="#1d2b2f" />
      <mj-button background-color="#0f766e" border-radius="6px" font-size="16px" />
    </mj-attributes>
  </mj-head>
  <mj-body background-color="#f3f5f5">
    <mj-section background-color="#ffffff" padding="32px 24px">
      <mj-column>
        <mj-text font-size="24px" font-weight="700">Hello {{ lead.first_name | default("there") }}</mj-text>
        <mj-text>Say in two sentences what is new, and why it matters to the reader.</mj-text>
        <mj-button href="https://example.com/">Read more</mj-button>
      </mj-column>
    </mj-section>
    <mj-section padding="16px 24px">
      <mj-column>
        <mj-text font-size="13px" color="#5c6b70" align="center">
          You get this because you signed up.
          <a href="{{ unsubscribe_url }}">Unsubscribe</a> · <a href="{{ preferences_url }}">Preferences</a>
        </mj-text>
      </mj-column>
    </mj-section>
  </mj-body>
</mjml>
`,
  },
  letter: {
    format: "markdown",
    body: `# Hello {{ lead.first_name | default("there") }}

Say in two sentences what is new, and why it matters to the reader.

[Read more](https://example.com/)

---

[Unsubscribe]({{ unsubscribe_url }}) · [Preferences]({{ preferences_url }})
`,
  },
  html: {
    format: "html",
    body: `<!doctype html>
<html>
  <body style="font-family: Helvetica, Arial, sans-serif; line-height: 1.6; color: #1d2b2f">
    <h1>Hello {{ lead.first_name | default("there") }}</h1>
    <p>Say in two sentences what is new, and why it matters to the reader.</p>
    <p><a href="https://example.com/">Read more</a></p>
    <p style="font-size: 13px; color: #5c6b70"><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>
  </body>
</html>
`,
  },
  text: {
    format: "text",
    body: `Hello {{ lead.first_name | default("there") }},

say in two sentences what is new, and why it matters to the reader.

https://example.com/

Unsubscribe: {{ unsubscribe_url }}
`,
  },
} satisfies Record<string, Content>;
