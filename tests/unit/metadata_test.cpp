// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metadata.h"

#include <gtest/gtest.h>

namespace bitloom {
namespace {

TEST(Metadata, SetReplacesInPlaceAndAppends) {
  Metadata meta;
  meta.set("a", MetaValue::u32(1));
  meta.set("b", MetaValue::string("x"));
  meta.set("a", MetaValue::u32(2));
  meta.append("c", MetaValue::boolean(true));
  ASSERT_EQ(meta.entries().size(), 3u);
  EXPECT_EQ(meta.entries()[0].key, "a");
  EXPECT_EQ(meta.unsignedOf("a"), 2u);
  EXPECT_EQ(meta.entries()[2].key, "c");
  meta.erase("a");
  EXPECT_EQ(meta.find("a"), nullptr);
  EXPECT_EQ(meta.entries().size(), 2u);
}

TEST(Metadata, ConvertsNumbersOnlyWhenTheValueFits) {
  Metadata meta;
  meta.set("minus", {MetaType::I32, int64_t{-1}});
  meta.set("plus", {MetaType::I64, int64_t{7}});
  meta.set("real", MetaValue::f32(0.5f));
  meta.set("flag", MetaValue::boolean(true));
  meta.set("text", MetaValue::string("7"));
  EXPECT_EQ(meta.unsignedOf("minus"), std::nullopt);
  EXPECT_EQ(meta.unsignedOf("plus"), 7u);
  EXPECT_EQ(meta.numberOf("minus"), -1.0);
  EXPECT_EQ(meta.numberOf("real"), 0.5);
  EXPECT_EQ(meta.unsignedOf("real"), std::nullopt);
  EXPECT_EQ(meta.numberOf("flag"), std::nullopt);
  EXPECT_EQ(meta.boolOf("flag"), true);
  EXPECT_EQ(meta.boolOf("plus"), std::nullopt);
  EXPECT_EQ(meta.unsignedOf("text"), std::nullopt);
  EXPECT_EQ(meta.stringOf("text"), "7");
  EXPECT_EQ(meta.stringOf("flag"), std::nullopt);
  EXPECT_EQ(meta.arrayOf("text"), nullptr);
  EXPECT_EQ(meta.numberOf("absent"), std::nullopt);
}

TEST(Metadata, ArraysKnowTheirSizeAndNumbers) {
  MetaArray array{
      MetaType::I16, {std::byte{0xFE}, std::byte{0xFF}, std::byte{3}, std::byte{0}}, {}};
  ASSERT_EQ(array.size(), 2u);
  EXPECT_EQ(array.number(0), -2);
  EXPECT_EQ(array.number(1), 3);
  Metadata meta;
  meta.set("words", MetaValue::stringArray({"a", "b", "c"}));
  EXPECT_EQ(meta.arrayOf("words")->size(), 3u);
}

TEST(Metadata, ElementsHaveTheSizesOfTheSpecification) {
  EXPECT_EQ(elementBytes(MetaType::U8), 1u);
  EXPECT_EQ(elementBytes(MetaType::I16), 2u);
  EXPECT_EQ(elementBytes(MetaType::F32), 4u);
  EXPECT_EQ(elementBytes(MetaType::Bool), 1u);
  EXPECT_EQ(elementBytes(MetaType::F64), 8u);
  EXPECT_EQ(elementBytes(MetaType::String), 0u);
  EXPECT_EQ(metaTypeName(MetaType::U64), "u64");
}

TEST(Metadata, DisplayIsShortAndOnOneLine) {
  EXPECT_EQ(display(MetaValue::u32(7)), "7");
  EXPECT_EQ(display({MetaType::I8, int64_t{-7}}), "-7");
  EXPECT_EQ(display(MetaValue::boolean(false)), "false");
  EXPECT_EQ(display(MetaValue::f32(0.5f)), "0.5");
  EXPECT_EQ(display(MetaValue::string("a\nb\tc")), "a\\nb c");
  EXPECT_EQ(display(MetaValue::string("abcdef"), 3), "abc…");
  EXPECT_EQ(display(MetaValue::string("aäöü"), 4), "aä…");
  EXPECT_EQ(display(MetaValue::stringArray({"one", "two"})), "[one, two]");
  EXPECT_EQ(display(MetaValue::stringArray(std::vector<std::string>(5000, "word")), 10),
            "[word, word, …] (5 000 × string)");
}

}  // namespace
}  // namespace bitloom
