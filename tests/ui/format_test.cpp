// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/format.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ui/theme.h"

namespace bitloom {
namespace {

TEST(Format, SizesAreLabelledDecimalAndBinary) {
  EXPECT_EQ(formatGB(3'460'000'000), "3.46 GB");
  EXPECT_EQ(formatGB(23'230'752), "23.2 MB");
  EXPECT_EQ(formatGB(999), "999 B");
  EXPECT_EQ(formatGiB(uint64_t(1) << 30), "1.00 GiB");
  EXPECT_EQ(formatGiB(23'230'752), "22.2 MiB");
  EXPECT_EQ(formatGB(999'999), "1.00 MB");
}

TEST(Format, ErrorsDecideHowManyDigitsMeanAnything) {
  EXPECT_EQ(formatKldError(0.0412, 0.003), "0.0412 ± 0.0030");
  EXPECT_EQ(formatKldError(45.03, 1.96), "45.0 ± 2.0");
  EXPECT_EQ(formatKldError(6.8e-7, 1.2e-7), "(6.8 ± 1.2)e-7");
  EXPECT_EQ(formatKldError(0.041, 0), "0.041");
  EXPECT_EQ(formatKldError(NAN, 1), "unknown");
}

TEST(Format, TimesCountsAndShares) {
  EXPECT_EQ(formatDuration(0.3), "0.3 s");
  EXPECT_EQ(formatDuration(11), "11 s");
  EXPECT_EQ(formatDuration(125), "2 min 5 s");
  EXPECT_EQ(formatCount(8'190'000'000), "8.19 B");
  EXPECT_EQ(formatGrouped(1076), QString("1\u2009076"));
  EXPECT_EQ(formatPercent(0.923), "92 %");
  EXPECT_EQ(formatPercent(0.034), "3.4 %");
}

TEST(Theme, HeatRunsFromDarkBlueToYellowAndOnlyGetsLighter) {
  int last = -1;
  for (int step = 0; step <= 100; ++step) {
    const QColor colour = heatColor(step / 100.0);
    const int grey = qGray(colour.rgb());
    EXPECT_GE(grey, last);
    last = grey;
  }
  EXPECT_GT(heatColor(0).blue(), heatColor(0).red());
  EXPECT_GT(heatColor(1).red(), heatColor(1).blue());
  EXPECT_EQ(heatColor(-3), heatColor(0));
  EXPECT_EQ(heatColor(NAN), heatColor(0));
}

}  // namespace
}  // namespace bitloom
