// Which view shows a game: found by its description alone, never by its name.

import { DiceView } from "./view-dice.js";
import { FactsView } from "./view-facts.js";
import { SlotView } from "./view-slot.js";

const VIEWS = [SlotView, DiceView, FactsView];

/** The view of a game in `stage`. `tools` has money(amount) for texts, and calm(): whether nothing shall move. */
export function viewFor(game, stage, tools) {
  const View = VIEWS.find((view) => view.shows(game));
  return new View(game, stage, tools);
}
