// Money as people read it: integers in minor units, by the exponent of their currency, and never a float.

import { EXPONENTS } from "./currencies.js";

/** "€1.23" of { amount: 123, currency: "EUR" }; "–" of null. */
export function shown(money, locale = undefined) {
  if (money === null || money === undefined) return "–";
  const { amount, currency } = money;
  const decimals = EXPONENTS[currency] ?? 0;
  const digits = String(Math.abs(amount)).padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  const text = `${amount < 0 ? "-" : ""}${digits.slice(0, point)}${decimals ? "." + digits.slice(point) : ""}`;
  const fraction = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  // A text is taken digit by digit. Codes of four letters, as crypto currencies have them, are no ISO codes.
  if (!/^[A-Z]{3}$/.test(currency)) return `${new Intl.NumberFormat(locale, fraction).format(text)} ${currency}`;
  return new Intl.NumberFormat(locale, { style: "currency", currency, ...fraction }).format(text);
}

/** The locale that was asked for, if this browser knows it. */
export function localeOf(lang) {
  try {
    return lang ? Intl.getCanonicalLocales(lang)[0] : undefined;
  } catch {
    return undefined;
  }
}
