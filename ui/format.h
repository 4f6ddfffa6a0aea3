// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers as the window shows them, in one place.
#pragma once
#include <QString>
#include <cstdint>

namespace bitloom {

QString formatGB(uint64_t bytes);                    // "3.46 GB", "23.2 MB"
QString formatGiB(uint64_t bytes);                   // "3.22 GiB", "22.2 MiB"
QString formatBpw(double bits);                      // "3.375 bpw"
QString formatCount(uint64_t count);                 // "8.19 B", "10.6 M"
QString formatGrouped(uint64_t number);              // "1 076" with thin spaces
QString formatKld(double value);                     // "0.041", ".0003", "1.2e-5"
QString formatKldError(double value, double error);  // "0.041 ± 0.003"
QString formatDuration(double seconds);              // "0.3 s", "11 s", "2 min 5 s"
QString formatPercent(double share);                 // "92 %"

}  // namespace bitloom
