import { expect, test } from "vitest";
import { embed } from "./embed";

const form = {
  url: "https://clarion.example/f/1",
  language: "en",
  wording: 'Write to "me" & <b>you</b>',
  button: null,
  fields: [
    { field: "phone", label: "Phone", required: false },
    { field: 'attributes."><i>', label: "A <b>", required: true },
  ],
};

test("what somebody wrote does not become markup of another page", () => {
  const page = new DOMParser().parseFromString(embed(form), "text/html");
  expect(page.querySelectorAll("b, i")).toHaveLength(0);
  const sent = page.querySelector("form");
  expect(sent?.getAttribute("action")).toBe("https://clarion.example/f/1");
  expect(page.querySelector<HTMLInputElement>("[name=consent]")?.value).toBe(form.wording);
  const names = [...page.querySelectorAll("input")].map((input) => input.name);
  expect(names).toEqual(["email", "phone", 'attributes."><i>', "consent", "website"]);
  const needed = [...page.querySelectorAll<HTMLInputElement>("input[required]")].map((input) => input.name);
  expect(needed).toEqual(["email", 'attributes."><i>', "consent"]);
  expect(page.querySelector("button")?.textContent).toBe("Subscribe");
});

test("it speaks the form's language, and its button says what was written", () => {
  expect(embed({ ...form, language: "de" })).toContain("E-Mail-Adresse");
  expect(embed({ ...form, language: "de" })).toContain("<button>Anmelden</button>");
  expect(embed({ ...form, button: "Go" })).toContain("<button>Go</button>");
});
