import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import en from "./en.json";

export const LANGUAGES = [["en", "English"], ["de", "Deutsch"]] as const;
export type Language = (typeof LANGUAGES)[number][0];
const KEY = "clarion.language";
const RTL = new Set(["ar", "fa", "he", "ur"]);

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
    returnNull: false;
  }
}

/** What the person chose, if they did and storage may be read. */
export function storedLanguage(): string | undefined {
  try {
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

function wanted(): string {
  const stored = storedLanguage();
  if (stored) return stored;
  const known: readonly string[] = LANGUAGES.map(([code]) => code);
  return navigator.languages.map((tag) => tag.split("-")[0] ?? "").find((tag) => known.includes(tag)) ?? "en";
}

/** English is in the first file; others come when they are asked for. */
async function load(language: string) {
  if (language !== "de" || i18next.hasResourceBundle("de", "translation")) return;
  const { default: de } = await import("./de.json");
  i18next.addResourceBundle("de", "translation", de);
}

export async function startLanguage() {
  await i18next.use(initReactI18next).init({
    lng: "en",
    fallbackLng: "en",
    resources: { en: { translation: en } },
    interpolation: { escapeValue: false },
  });
  await setLanguage(wanted(), false);
}

export async function setLanguage(language: string, remember = true) {
  await load(language).catch(() => undefined);
  await i18next.changeLanguage(language);
  document.documentElement.lang = i18next.resolvedLanguage ?? "en";
  document.documentElement.dir = RTL.has(language) ? "rtl" : "ltr";
  try {
    if (remember) localStorage.setItem(KEY, language);
  } catch {
    // It holds until the page is left.
  }
}
