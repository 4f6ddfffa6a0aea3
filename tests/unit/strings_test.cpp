// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/strings.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace bitloom {
namespace {

TEST(Strings, GlobsMatchWholeNames) {
  EXPECT_TRUE(globMatch("blk.*.ffn_down.weight", "blk.3.ffn_down.weight"));
  EXPECT_TRUE(globMatch("blk.?.attn_*", "blk.3.attn_q.weight"));
  EXPECT_TRUE(globMatch("*", ""));
  EXPECT_TRUE(globMatch("", ""));
  EXPECT_TRUE(globMatch("a**b", "ab"));
  EXPECT_TRUE(globMatch("*ab*ab", "abab"));
  EXPECT_TRUE(globMatch("*aab", "aaaab"));
  EXPECT_FALSE(globMatch("blk.?.attn_*", "blk.12.attn_q.weight"));
  EXPECT_FALSE(globMatch("output", "output.weight"));
  EXPECT_FALSE(globMatch("weight", "output.weight"));
  EXPECT_FALSE(globMatch("", "a"));
  EXPECT_FALSE(globMatch("a?", "a"));
}

TEST(Strings, AGlobOfManyStarsIsDecidedAtOnce) {
  std::string pattern;
  for (int i = 0; i < 40; ++i) pattern += "*a";
  EXPECT_FALSE(globMatch(pattern + "b", std::string(2000, 'a')));
}

TEST(Strings, SplitKeepsEmptyParts) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(split("a,", ','), (std::vector<std::string>{"a", ""}));
}

TEST(Strings, LowersAsciiOnly) { EXPECT_EQ(toLower("Q4_K Ä"), "q4_k Ä"); }

TEST(Strings, GroupsDigits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1 000");
  EXPECT_EQ(grouped(812345), "812 345");
  EXPECT_EQ(grouped(~uint64_t{0}), "18 446 744 073 709 551 615");
}

TEST(Strings, ShowsSizesInBothUnits) {
  EXPECT_EQ(decimalSize(0), "0 B");
  EXPECT_EQ(decimalSize(999), "999 B");
  EXPECT_EQ(decimalSize(1000), "1.00 kB");
  EXPECT_EQ(decimalSize(23230752), "23.2 MB");
  EXPECT_EQ(decimalSize(2910000000), "2.91 GB");
  EXPECT_EQ(decimalSize(999999), "1.00 MB");
  EXPECT_EQ(decimalSize(5000000000000000), "5000 TB");
  EXPECT_EQ(binarySize(1023), "1023 B");
  EXPECT_EQ(binarySize(1024), "1.00 KiB");
  EXPECT_EQ(binarySize(96ull << 20), "96.0 MiB");
  EXPECT_EQ(binarySize(2910000000), "2.71 GiB");
}

TEST(Strings, ParsesSizes) {
  EXPECT_EQ(*parseSize("123456"), 123456u);
  EXPECT_EQ(*parseSize("96MiB"), 96u << 20);
  EXPECT_EQ(*parseSize("96mib"), 96u << 20);
  EXPECT_EQ(*parseSize(" 2.9 GB "), 2900000000u);
  EXPECT_EQ(*parseSize("1.5KiB"), 1536u);
  EXPECT_EQ(*parseSize("7kB"), 7000u);
  EXPECT_EQ(*parseSize("7KB"), 7000u);
  EXPECT_EQ(*parseSize("3 TB"), 3000000000000u);
  EXPECT_EQ(*parseSize("1TiB"), uint64_t{1} << 40);
  EXPECT_EQ(*parseSize("0"), 0u);
  EXPECT_EQ(*parseSize("18446744073709551615"), ~uint64_t{0});
}

TEST(Strings, ASizeThatIsNoneIsNamedInTheError) {
  for (const std::string text :
       {"", "MB", "-3MB", "12 apples", "1.2.3MB", "1e9", "nan", ".", "3 M B"}) {
    const auto size = parseSize(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(size.error().message, "\"" + text + "\" is not a size; 96MiB, 2.9GB and 123456 are.");
  }
  for (const std::string text : {"18446744073709551616", "99999999TiB", "99999999.5TiB"}) {
    const auto size = parseSize(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().message, "The size \"" + text + "\" is larger than 2^64 bytes.");
  }
}

TEST(Strings, ReplacesWhatIsNotUtf8) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(validUtf8("aä€😀"), "aä€😀");
  EXPECT_EQ(validUtf8("a\xFF"
                      "b"),
            "a" + bad + "b");
  EXPECT_EQ(validUtf8("\xE2\x82"), bad + bad);                      // cut
  EXPECT_EQ(validUtf8("\xC0\x80"), bad + bad);                      // overlong
  EXPECT_EQ(validUtf8("\xED\xA0\x80"), bad + bad + bad);            // surrogate
  EXPECT_EQ(validUtf8("\xF4\x90\x80\x80"), bad + bad + bad + bad);  // past U+10FFFF
  EXPECT_EQ(validUtf8("\x80x"), bad + "x");
}

RC_GTEST_PROP(Strings, RepairedTextStaysAsItIs, (const std::string& bytes)) {
  const std::string once = validUtf8(bytes);
  RC_ASSERT(validUtf8(once) == once);
}

RC_GTEST_PROP(Strings, AnyNumberOfBytesIsParsedBack, (uint64_t bytes)) {
  const auto size = parseSize(std::to_string(bytes) + " b");
  RC_ASSERT(bool(size));
  RC_ASSERT(*size == bytes);
}

}  // namespace
}  // namespace bitloom
