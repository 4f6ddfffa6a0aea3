// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/recipe.h"

#include <gtest/gtest.h>

#include "tests/support/gguf_bytes.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

using test::TempDir;

Rule rule(const std::string& pattern, const std::string& codec) {
  return {pattern, codec, "nearest", {}, {}, false};
}

Recipe recipeOf(std::vector<Rule> rules) {
  Recipe recipe;
  recipe.rules = std::move(rules);
  return recipe;
}

class RecipeOnTinyModel : public testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.feedForward = 172;
    auto opened = Model::open(test::writeTinyModel(m_folder / "tiny.gguf", options));
    ASSERT_TRUE(opened) << opened.error().message;
    m_model = *opened;
  }

  Choice choiceOf(const Recipe& recipe, const std::string& tensor) {
    const auto plan = resolve(recipe, *m_model);
    EXPECT_TRUE(plan) << plan.error().message;
    const Tensor* found = m_model->find(tensor);
    EXPECT_NE(found, nullptr);
    return plan && found ? plan->tensors[m_model->indexOf(*found)] : Choice{};
  }

  std::string_view codecOf(const Recipe& recipe, const std::string& tensor) {
    const Choice choice = choiceOf(recipe, tensor);
    return choice.effective ? choice.effective->name : "copied";
  }

  TempDir m_folder;
  std::shared_ptr<const Model> m_model;
};

TEST(Recipe, JsonHasAFixedOrderAndLeavesDefaultsOut) {
  Recipe recipe;
  recipe.name = "mix \"a\"";
  recipe.rules = {rule("*.weight", "q4_0"),
                  {"output.weight", "q8_0", "imatrix", {{"b", "2"}, {"a", "1"}}, "dragged", true}};
  EXPECT_EQ(toJson(recipe),
            "{\n\"version\":1,\n\"name\":\"mix \\\"a\\\"\",\n\"profile\":\"thetom\",\n\"rules\":[\n"
            "{\"pattern\":\"*.weight\",\"codec\":\"q4_0\"},\n"
            "{\"pattern\":\"output.weight\",\"codec\":\"q8_0\",\"method\":\"imatrix\","
            "\"options\":{\"a\":\"1\",\"b\":\"2\"},\"why\":\"dragged\",\"pinned\":true}\n]}\n");
}

TEST(Recipe, WhatIsSavedIsLoadedEqual) {
  TempDir folder;
  Recipe recipe;
  recipe.name = "λ mix";
  recipe.profile = "mainline";
  recipe.rules = {rule("blk.*", "f16"),
                  {"blk.?.ffn_up.weight", "q5_0", "imatrix", {{"k", "v"}}, "solver", true}};
  ASSERT_TRUE(saveRecipe(recipe, folder / "r.json"));
  const auto loaded = loadRecipe(folder / "r.json");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(*loaded, recipe);
  EXPECT_EQ(loadRecipe(folder / "absent.json").error().code, ErrorCode::NotFound);
}

TEST(Recipe, ErrorsNameWhatIsWrong) {
  const auto message = [](const std::string& json) {
    const auto parsed = parseRecipe(json, "r.json");
    EXPECT_FALSE(parsed) << json;
    return parsed ? std::string() : parsed.error().message;
  };
  const auto withRule = [](const std::string& text) { return "{\"rules\":[{" + text + "}]}"; };
  EXPECT_EQ(message(withRule(R"("pattern":"*","codec":"q9_9")")),
            "r.json: rule 1: there is no codec named \"q9_9\".");
  EXPECT_EQ(message(withRule(R"("pattern":"*","codec":"q4_0","method":"magic")")),
            "r.json: rule 1: there is no method named \"magic\".");
  EXPECT_EQ(message(withRule(R"("pattern":"*","codec":"q4_0","bits":4)")),
            "r.json: rule 1: the key \"bits\" is not known.");
  EXPECT_EQ(message(withRule(R"("codec":"q4_0")")), "r.json: rule 1: it has no \"pattern\".");
  EXPECT_EQ(message(withRule(R"("pattern":3,"codec":"q4_0")")),
            "r.json: rule 1: \"pattern\" must be a text.");
  EXPECT_EQ(message(R"({"rules":[],"rule":[]})"),
            "r.json: the key \"rule\" is not known in a recipe.");
  EXPECT_EQ(message(R"({"rules":[],"profile":"ollama"})"),
            "r.json: there is no runtime profile named \"ollama\".");
  EXPECT_EQ(message(R"({"version":2,"rules":[]})"),
            "r.json: recipe version 2 is not known; this program reads version 1.");
  EXPECT_EQ(message("{}"), "r.json: the recipe has no \"rules\".");
  EXPECT_EQ(message("[]"), "r.json: a recipe must be a JSON object.");
  EXPECT_EQ(message("{\"rules\":["), "r.json: this is not JSON: a fault near byte 11.");
}

TEST_F(RecipeOnTinyModel, TheLastRuleThatMatchesWins) {
  const std::string name = "blk.1.attn_q.weight";
  EXPECT_EQ(codecOf(recipeOf({rule("*", "q4_0"), rule("blk.1.*", "q8_0")}), name), "q8_0");
  EXPECT_EQ(codecOf(recipeOf({rule("blk.1.*", "q8_0"), rule("*", "q4_0")}), name), "q4_0");
  EXPECT_EQ(codecOf(recipeOf({rule(name, "q8_0"), rule("*", "q4_0")}), name), "q4_0");
  EXPECT_EQ(codecOf(recipeOf({rule("*", "q4_0"), rule(name, "q8_0")}), name), "q8_0");
  EXPECT_EQ(codecOf(recipeOf({rule(name, "q8_0"), rule(name, "q5_0")}), name), "q5_0");
  EXPECT_EQ(codecOf(recipeOf({rule(name, "q8_0"), rule("blk.0.*", "q4_0")}), name), "q8_0");
  EXPECT_EQ(codecOf(recipeOf({rule("blk.0.*", "q4_0")}), name), "copied");
}

TEST_F(RecipeOnTinyModel, EveryChoiceSaysWhy) {
  const Recipe all = uniformRecipe(*findCodec("q4_0"));
  EXPECT_EQ(choiceOf(all, "blk.0.ffn_down.weight").reason,
            "rows of 172 are not a multiple of 32: f16 instead of q4_0");
  EXPECT_EQ(codecOf(all, "blk.0.ffn_down.weight"), "f16");
  EXPECT_EQ(choiceOf(all, "blk.0.ffn_down.weight").requested, findCodec("q4_0"));
  EXPECT_EQ(choiceOf(all, "blk.0.attn_norm.weight").reason, "1-D tensors stay as they are: f32");
  EXPECT_EQ(codecOf(all, "blk.0.attn_norm.weight"), "copied");
  EXPECT_EQ(choiceOf(all, "blk.0.attn_q.weight").reason, "rule *.weight");
  EXPECT_EQ(codecOf(all, "token_embd.weight"), "q4_0");
  EXPECT_EQ(codecOf(all, "output.weight"), "q4_0");
  EXPECT_EQ(choiceOf(recipeOf({}), "output.weight").reason, "no rule: kept as f32");
  EXPECT_EQ(choiceOf(recipeOf({rule("*", "f32")}), "output.weight").reason,
            "already f32: copied unchanged");
  EXPECT_EQ(codecOf(recipeOf({rule("*", "f32")}), "output.weight"), "copied");
  Rule why = rule("output.weight", "q8_0");
  why.why = "dragged";
  why.pinned = true;
  EXPECT_EQ(choiceOf(recipeOf({why}), "output.weight").reason, "dragged");
  EXPECT_TRUE(choiceOf(recipeOf({why}), "output.weight").pinned);
}

TEST_F(RecipeOnTinyModel, ACodecWithoutANumberIsCalledBitloomOnly) {
  EXPECT_EQ(choiceOf(recipeOf({rule("*attn_q*", "tq3_1b4")}), "blk.0.attn_q.weight").reason,
            "rule *attn_q*; Bitloom only: thetom has no number for it");
  Recipe mainline = recipeOf({rule("*attn_q*", "tq3_1s")});
  EXPECT_EQ(choiceOf(mainline, "blk.0.attn_q.weight").reason, "rule *attn_q*");
  mainline.profile = "mainline";
  EXPECT_EQ(choiceOf(mainline, "blk.0.attn_q.weight").reason,
            "rule *attn_q*; Bitloom only: mainline has no number for it");
}

TEST_F(RecipeOnTinyModel, BytesAndBitsAreExact) {
  const auto plan = resolve(recipeOf({rule("blk.0.attn_q.weight", "q8_0")}), *m_model);
  ASSERT_TRUE(plan);
  uint64_t bytes = 0;
  for (const Tensor& tensor : m_model->tensors()) bytes += tensor.bytes.size();
  bytes = bytes - 64 * 64 * 4 + 64 * 2 * 34;
  EXPECT_EQ(plan->tensorBytes, bytes);
  EXPECT_DOUBLE_EQ(plan->bitsPerWeight, double(bytes) * 8 / double(m_model->weights()));
}

TEST_F(RecipeOnTinyModel, TheHashFollowsTheChoicesAlone) {
  const auto hashOf = [&](const Recipe& recipe) { return resolve(recipe, *m_model)->hash; };
  const std::string one = hashOf(recipeOf({rule("output.weight", "q8_0")}));
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(one, hashOf(recipeOf({rule("outpu?.weight", "q8_0")})));
  EXPECT_NE(one, hashOf(recipeOf({rule("output.weight", "q5_0")})));
  EXPECT_NE(one, hashOf(recipeOf({rule("token_embd.weight", "q8_0")})));
  Recipe other = recipeOf({rule("output.weight", "q8_0")});
  other.rules[0].options["x"] = "1";
  EXPECT_NE(one, hashOf(other));
}

TEST_F(RecipeOnTinyModel, UnknownNamesAreRefused) {
  EXPECT_EQ(resolve(recipeOf({rule("output.weight", "q9_9")}), *m_model).error().message,
            "Rule \"output.weight\" asks for the codec \"q9_9\", which does not exist.");
  Recipe profile;
  profile.profile = "none";
  EXPECT_EQ(resolve(profile, *m_model).error().message,
            "There is no runtime profile named \"none\".");
}

TEST(Recipe, ASourceThatCannotBeDecodedIsKeptOrTheRuleIsRefused) {
  TempDir folder;
  test::GgufBytes gguf;
  gguf.key("general.architecture", "llama");
  gguf.tensor("blk.0.ffn_up.weight", {256, 2}, 15, std::string(584, 'x'));
  gguf.tensor("output.weight", {64, 2}, test::kF32, std::string(512, '\0'));
  test::writeFile(folder / "m.gguf", gguf.build());
  const auto model = Model::open(folder / "m.gguf");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_FALSE(isQuantizable((*model)->tensors()[0]));
  EXPECT_TRUE(isQuantizable((*model)->tensors()[1]));
  const auto kept = resolve(recipeOf({rule("output.weight", "q8_0")}), **model);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(kept->tensors[0].reason, "no rule: kept as q8_k");
  const auto refused = resolve(recipeOf({rule("*", "q8_0")}), **model);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(refused.error().message,
            "blk.0.ffn_up.weight is stored as q8_k, which this version cannot decode, so it "
            "cannot become q8_0.");
}

}  // namespace
}  // namespace bitloom
