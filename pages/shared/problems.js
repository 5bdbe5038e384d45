// Every problem code in plain words, with the player's next step. A test holds it to the server's table.

// code: [what is the case, what to do next, whether no further bet is possible in this page]
export const WORDS = {
  unauthenticated: ["This game was not opened with a valid link.", "Open it again from your casino.", true],
  "session-expired": ["Your session is over.", "Open the game again from your casino to go on.", true],
  "insufficient-funds": ["Your balance does not cover this stake.", "Choose a lower stake, or pay in.", false],
  forbidden: ["This round belongs to another game or session.", "Open that game from your casino.", false],
  "limit-exceeded": ["A limit of your session does not allow this bet.", "See Rules for your limits.", false],
  "game-disabled": ["The casino has switched this game off for now.", "No stake was taken. Ask again later.", false],
  "player-blocked": ["The casino does not take bets from your account now.", "Please ask its support.", true],
  "not-found": ["The casino has no such thing.", "Load the page again.", false],
  "method-not-allowed": ["The page and the casino do not fit together.", "Load the page again.", false],
  "round-open": ["Another round of yours is still open.", "It is shown here: finish it first.", false],
  "round-closed": ["This round has ended already.", "Its result is shown.", false],
  "round-lost": ["This round was lost when the casino was restored; it is void.", "Your stake is returned. Play a new round.", false],
  "wrong-state": ["The round does not wait for this any more.", "It is shown as it stands now.", false],
  "too-large": ["The bet is too large to be sent.", "Load the page again.", false],
  "unsupported-media-type": ["The page and the casino do not fit together.", "Load the page again.", false],
  "upgrade-required": ["The page and the casino do not fit together.", "Load the page again.", false],
  "head-too-large": ["Your browser sends more than the casino reads.", "Delete this site's cookies, then load the page again.", false],
  invalid: ["The casino does not understand this bet.", "Check what you chose. Nothing was staked.", false],
  "id-reused": ["This bet was taken for another one.", "Nothing more was staked. Play again.", false],
  "currency-mismatch": ["The currency does not fit your session.", "Open the game again from your casino.", false],
  "stake-not-allowed": ["This stake is not allowed.", "Choose another one. Nothing was staked.", false],
  "unknown-choice": ["The game does not take this choice.", "Choose again. Nothing was staked.", false],
  "too-many-requests": ["That was too fast.", "Wait a moment, then try again.", false],
  internal: ["Something went wrong at the casino.", "Your bet is safe: it counts once at most.", false],
  "wallet-failed": ["Your casino's wallet did not take the stake.", "Nothing was staked. Try again, or ask its support.", false],
  overloaded: ["The casino is very busy.", "Wait a moment, then try again.", false],
  // What no server says.
  unanswered: ["The casino does not answer.", "Your bet is safe: it is asked for again until it is answered.", false],
  "no-token": ["No game is open here.", "Open one from your casino: its link brings you here.", true],
};

// Why a round is void. A declined round has the code of a problem.
export const VOID = {
  "reserve-uncertain": "The casino could not tell in time whether your stake was taken. It is returned.",
  "resolve-failed": "The game could not compute a result. Your stake is returned.",
  "round-cancelled": "The round was cancelled. Your stake is returned.",
  "rolled-back": "Your casino's wallet took the bet back. Your stake is returned.",
  abandoned: "There was no choice in time. Your stake is returned.",
  "voided-by-operator": "The casino has voided the round. Your stake is returned.",
  "round-lost": "The round was lost when the casino was restored. Your stake is returned.",
};

/** One of the codes in words. `members` are those of the problem. */
export function inWords(code, members = {}) {
  const [what, then, fatal] = WORDS[code] ?? [`The casino refused (${code}).`, "Try again, or ask its support.", false];
  const wait = typeof members.retry_after === "number" ? ` Possible again in ${Math.ceil(members.retry_after)} s.` : "";
  return { code, what, then: then + wait, fatal };
}

/** Why a declined or void round paid nothing. */
export function whyNot(round) {
  const code = round.failure?.code ?? "";
  if (VOID[code] !== undefined && round.state === "void") return VOID[code];
  return `${inWords(code || "unknown").what} Nothing was staked.`;
}
