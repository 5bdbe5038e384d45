"""How many decimals each currency has: ISO 4217 exponents, and what crypto currencies are quoted in."""

from typing import Final


class UnknownCurrency(ValueError):
    """No exponent is known for this code, so no amount in it can be written or read."""


_TWO: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
    HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU
    UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""

# Each line is an exponent and the codes that have it.
_EXPONENTS: Final[dict[str, int]] = {
    code: exponent
    for exponent, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (2, _TWO),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
        (6, "USDC USDT"),
        (8, "BTC DOGE ETH LTC"),
    )
    for code in codes.split()
}


def exponent(currency: str) -> int:
    """The decimals between one unit and one minor unit: 2 for EUR, 0 for JPY, 8 for BTC. ETH has 8 as wallets
    quote it, though its chain counts 18. Raises UnknownCurrency; codes are upper case."""
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency("no exponent is known for this currency") from None


def known() -> frozenset[str]:
    """Every currency that has an exponent."""
    return frozenset(_EXPONENTS)
