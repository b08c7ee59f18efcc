/** Somewhere to go to. */
export interface Place { path: string; name: string; kind: string }

/** Without accents and capitals, so that nobody has to type them. */
const plain = (text: string) => text.normalize("NFD").replace(/\p{Mn}/gu, "").toLowerCase();

/** How well a name fits what was typed: by its beginning, by that of a word, or anywhere; none is 0. */
function fit(typed: string, name: string): number {
  if (name.startsWith(typed)) return 3;
  if (name.includes(` ${typed}`)) return 2;
  return name.includes(typed) ? 1 : 0;
}

/** The places whose names fit, the best first; those that fit alike stay in order. */
export function fitting(typed: string, places: readonly Place[], most: number): Place[] {
  const wanted = plain(typed.trim());
  return places
    .map((place) => ({ place, score: fit(wanted, plain(place.name)) }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, most)
    .map(({ place }) => place);
}
