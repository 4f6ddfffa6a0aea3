// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace bitloom {
namespace {

TEST(Model, OpensTheStoryModel) {
  const auto model = Model::open(test::sourcePath("resources/models/bitloom-story-11m-f16.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->tensors().size(), 111u);
  EXPECT_EQ((*model)->sourceLabel(), "F16");
}

}  // namespace
}  // namespace bitloom
