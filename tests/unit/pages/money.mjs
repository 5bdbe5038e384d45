// Amounts as pages show them: [[amount, currency, locale]] in, texts out.

import { shown } from "../../../pages/shared/money.js";

const asked = JSON.parse(process.argv[2]);
console.log(JSON.stringify(asked.map(([amount, currency, locale]) => shown({ amount, currency }, locale))));
