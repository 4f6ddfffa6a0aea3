// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/profile.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "core/codec.h"

namespace bitloom {
namespace {

TEST(Profile, NamesAreFound) {
  ASSERT_EQ(runtimeProfiles().size(), 3u);
  for (const RuntimeProfile& profile : runtimeProfiles()) {
    EXPECT_EQ(findProfile(profile.name), &profile);
    EXPECT_FALSE(profile.title.empty());
    EXPECT_FALSE(profile.loadedBy.empty());
  }
  EXPECT_EQ(findProfile("other"), nullptr);
}

TEST(Profile, ANumberAndANameStandForOneTypeEach) {
  for (const RuntimeProfile& profile : runtimeProfiles()) {
    std::set<uint32_t> ids;
    std::set<std::string_view> names;
    std::set<uint32_t> fileTypes;
    for (const ProfileType& type : profile.types) {
      EXPECT_TRUE(ids.insert(type.id).second) << type.codec;
      EXPECT_TRUE(names.insert(type.codec).second) << type.codec;
      if (type.fileType) {
        EXPECT_TRUE(fileTypes.insert(*type.fileType).second) << type.codec;
      }
      EXPECT_EQ(profile.find(type.codec), &type);
      EXPECT_EQ(profile.find(type.id), &type);
      for (const char c : type.codec) EXPECT_FALSE(std::isupper(c)) << type.codec;
    }
  }
}

// A codec and its type must agree on every row that the type allows, or files would be torn.
TEST(Profile, BlocksAgreeWithTheCodecs) {
  int compared = 0;
  for (const RuntimeProfile& profile : runtimeProfiles()) {
    for (const ProfileType& type : profile.types) {
      const Codec* codec = findCodec(type.codec);
      if (codec == nullptr) continue;
      ++compared;
      for (const uint64_t blocks : {1, 2, 7}) {
        EXPECT_EQ(codec->rowBytes(blocks * type.blockWeights), blocks * type.blockBytes)
            << type.codec;
      }
    }
  }
  EXPECT_GE(compared, 9);
}

TEST(Profile, ForkNumbersAreThoseOfTheForks) {
  const RuntimeProfile& mainline = *findProfile("mainline");
  const RuntimeProfile& thetom = *findProfile("thetom");
  const RuntimeProfile& turboTan = *findProfile("turbo-tan");
  EXPECT_EQ(mainline.find("tq3_1s"), nullptr);
  EXPECT_EQ(mainline.find("q2_0")->id, 42u);
  EXPECT_EQ(thetom.find("tq3_1s")->id, 45u);
  EXPECT_EQ(thetom.find("tq3_1s")->fileType, 43u);
  EXPECT_EQ(thetom.find("tq4_1s")->id, 46u);
  EXPECT_EQ(thetom.find("tq4_1s")->fileType, 44u);
  EXPECT_EQ(turboTan.find("tq3_1s")->id, 44u);
  EXPECT_EQ(turboTan.find("tq3_1s")->fileType, 43u);
  EXPECT_EQ(turboTan.find("tq4_1s"), nullptr);
  EXPECT_EQ(turboTan.find("q2_0")->id, 41u);
  for (const RuntimeProfile& profile : runtimeProfiles()) {
    EXPECT_EQ(profile.find("tq3_1b4"), nullptr);
    EXPECT_EQ(profile.find("q4_k")->id, 12u);
    EXPECT_EQ(profile.find(kGgmlI8)->codec, "i8");
  }
}

}  // namespace
}  // namespace bitloom
