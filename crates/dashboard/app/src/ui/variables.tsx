import { useId, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode, type RefObject } from "react";
import { useTranslation } from "react-i18next";
import { complete, fitting, partialAt, type Partial } from "../lib/completion";
import { mayBeEmpty } from "../lib/variables";
import { Field } from "./kit";

type Element = HTMLInputElement | HTMLTextAreaElement;

interface Props {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  value: string;
  variables: readonly string[];
  onChange: (value: string) => void;
  maxLength?: number;
  /** With so many rows it is source, otherwise one line. */
  rows?: number;
  spellCheck?: boolean;
  area?: RefObject<HTMLTextAreaElement | null>;
}

/** A field that knows what mails can say: after `{{` it offers the variables, by arrows and Enter. */
export function VariableField({ label, hint, error, value, variables, onChange, maxLength, rows, spellCheck, area }: Props) {
  const { t } = useTranslation();
  const id = useId();
  const own = useRef<Element | null>(null);
  const [partial, setPartial] = useState<Partial | undefined>();
  const [chosen, setChosen] = useState(0);
  const [place, setPlace] = useState({ x: 0, y: 0 });
  const found = partial ? fitting(partial.word, variables) : [];
  // What is written in full needs no help.
  const open = found.length > 0 && !(found.length === 1 && found[0] === partial?.word);

  const look = (element: Element) => {
    const next = element.selectionStart === element.selectionEnd ? partialAt(element.value, element.selectionStart ?? 0) : undefined;
    setPartial(next);
    setChosen(0);
    if (next) setPlace(placeOf(element, next.start));
  };
  const caret = useRef<number | null>(null);
  const take = (variable: string) => {
    if (!partial) return;
    const next = complete(value, partial, variable, mayBeEmpty(variable));
    caret.current = next.caret;
    onChange(next.text);
    setPartial(undefined);
  };
  // Before the next key: whoever types on at once types in the right place.
  useLayoutEffect(() => {
    if (caret.current === null) return;
    own.current?.focus();
    own.current?.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  }, [value]);
  const key = (event: KeyboardEvent<Element>) => {
    if (!open) return;
    const moves: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const by = moves[event.key];
    if (by !== undefined) setChosen((chosen + by + found.length) % found.length);
    else if (event.key === "Enter" || event.key === "Tab") take(found[chosen] ?? "");
    else if (event.key === "Escape") setPartial(undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <Field label={label} hint={hint} error={error}>
      {(control) => {
        const shared = {
          ...control, value, maxLength, spellCheck, dir: "auto", autoComplete: "off", "aria-autocomplete": "list" as const, "aria-haspopup": "listbox" as const,
          ...(open && { "aria-controls": `${id}-list`, "aria-activedescendant": `${id}-${chosen}` }),
          onChange: (event: { target: Element }) => { onChange(event.target.value); look(event.target); },
          onKeyDown: key, onBlur: () => setPartial(undefined), onClick: (event: { currentTarget: Element }) => look(event.currentTarget),
        };
        return (
          <div className="completing">
            {rows
              ? <textarea {...shared} ref={(element) => { own.current = element; if (area) area.current = element; }} className="input code" rows={rows} />
              : <input type="text" {...shared} ref={(element) => { own.current = element; }} />}
            {open && (
              <div id={`${id}-list`} role="listbox" aria-label={t("editor.insert")} className="completion" style={{ insetInlineStart: place.x, insetBlockStart: place.y }}>
                {found.map((variable, index) => (
                  <div key={variable} id={`${id}-${index}`} role="option" tabIndex={-1} aria-selected={index === chosen}
                    onMouseDown={(event) => { event.preventDefault(); take(variable); }}><code>{variable}</code></div>
                ))}
              </div>
            )}
          </div>
        );
      }}
    </Field>
  );
}

const COPIED = ["font", "letterSpacing", "padding", "borderWidth", "borderStyle", "boxSizing", "lineHeight", "tabSize", "wordSpacing", "textIndent"] as const;

/** Where a place in a field's text is, below its line: the same text is laid out once more to see. */
function placeOf(element: Element, at: number): { x: number; y: number } {
  const style = getComputedStyle(element);
  const mirror = document.createElement("div");
  for (const name of COPIED) mirror.style[name] = style[name];
  const several = element instanceof HTMLTextAreaElement;
  Object.assign(mirror.style, { position: "absolute", visibility: "hidden", whiteSpace: several ? "pre-wrap" : "pre", overflowWrap: "break-word", inlineSize: several ? `${element.clientWidth}px` : "auto" });
  mirror.textContent = element.value.slice(0, at);
  const mark = document.createElement("span");
  mark.textContent = "x";
  mirror.append(mark);
  document.body.append(mirror);
  const [x, y] = [mark.offsetLeft - element.scrollLeft, mark.offsetTop - element.scrollTop + mark.offsetHeight + 4];
  mirror.remove();
  return { x: Math.max(0, Math.min(x, element.clientWidth - 220)), y: several ? Math.max(20, Math.min(y, element.clientHeight)) : element.offsetHeight };
}
