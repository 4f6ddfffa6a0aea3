// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/variant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <thread>

#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

class VariantTest : public testing::Test {
 protected:
  void SetUp() override {
    auto model = Model::open(test::writeTinyModel(m_dir / "tiny.gguf"));
    ASSERT_TRUE(model) << model.error().message;
    m_model = *model;
    m_tensor = m_model->indexOf(*m_model->find("blk.1.ffn_up.weight"));
    m_codec = findCodec("q4_0");
    ASSERT_NE(m_codec, nullptr);
  }

  Variant variant(WeightCache& cache) {
    auto created = Variant::create(m_model, cache);
    EXPECT_TRUE(created) << created.error().message;
    return std::move(*created);
  }

  std::vector<float> source(size_t tensor) const {
    const Tensor& t = m_model->tensors()[tensor];
    std::vector<float> values(t.weights());
    decodeRows(t, 0, t.rows(), values.data());
    return values;
  }

  test::TempDir m_dir;
  std::shared_ptr<const Model> m_model;
  size_t m_tensor = 0;
  const Codec* m_codec = nullptr;
  WeightCache m_cache{uint64_t{32} << 20};
  Workers m_workers{2};
  JobControl m_control;
  JobContext m_job{m_workers, m_control};
};

TEST_F(VariantTest, WithoutAPlanItIsTheModel) {
  const Variant v = variant(m_cache);
  const auto weights = v.weights(m_tensor, m_job);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(**weights, source(m_tensor));
  EXPECT_FALSE(v.isChanged(m_tensor));
  EXPECT_EQ(v.codecOf(m_tensor)->name, "f32");
}

TEST_F(VariantTest, ChangedTensorIsWhatItsEncodedBytesSay) {
  Variant v = variant(m_cache);
  v.setTensor(m_tensor, m_codec);
  EXPECT_TRUE(v.isChanged(m_tensor));
  EXPECT_EQ(v.codecOf(m_tensor), m_codec);
  const auto weights = v.weights(m_tensor, m_job);
  const auto encoded = v.encode(m_tensor, m_job);
  ASSERT_TRUE(weights && encoded);
  std::vector<float> decoded((*weights)->size());
  decodeRows(*encoded, 0, m_model->tensors()[m_tensor].rows(), decoded.data());
  EXPECT_EQ(**weights, decoded);
  EXPECT_NE(**weights, source(m_tensor));
  double worst = 0;
  const auto original = source(m_tensor);
  for (size_t i = 0; i < decoded.size(); ++i) {
    worst = std::max(worst, std::fabs(double(decoded[i]) - double(original[i])));
  }
  EXPECT_LT(worst, 0.2);
  v.setTensor(m_tensor, nullptr);
  const auto back = v.weights(m_tensor, m_job);
  ASSERT_TRUE(back);
  EXPECT_EQ(**back, original);
}

TEST_F(VariantTest, RowsThatTheCodecCannotHoldFallBack) {
  auto odd = Model::open(test::writeTinyModel(m_dir / "odd.gguf", {.feedForward = 172}));
  ASSERT_TRUE(odd);
  auto v = Variant::create(*odd, m_cache);
  ASSERT_TRUE(v);
  const size_t down = (*odd)->indexOf(*(*odd)->find("blk.0.ffn_down.weight"));
  v->setTensor(down, m_codec);
  EXPECT_EQ(v->codecOf(down), effectiveCodec(m_codec, 172));
  EXPECT_NE(v->codecOf(down), m_codec);
  EXPECT_TRUE(v->weights(down, m_job));
}

TEST_F(VariantTest, GatherAndTilesGiveTheSameFloatsAsTheWhole) {
  for (const uint64_t limit : {uint64_t{32} << 20, uint64_t{1}}) {
    WeightCache cache(limit);
    for (const Codec* codec : {static_cast<const Codec*>(nullptr), m_codec}) {
      Variant v = variant(cache);
      v.setTensor(m_tensor, codec);
      const uint64_t length = m_model->tensors()[m_tensor].rowLength();
      const std::vector<uint32_t> rows{5, 0, 5, 95};
      std::vector<float> gathered(rows.size() * length);
      ASSERT_TRUE(v.gather(m_tensor, rows, gathered.data(), m_job));
      const auto whole = v.weights(m_tensor, m_job);
      ASSERT_TRUE(whole);
      for (size_t i = 0; i < rows.size(); ++i) {
        for (size_t j = 0; j < length; ++j) {
          ASSERT_EQ(gathered[i * length + j], (**whole)[rows[i] * length + j]);
        }
      }
      std::vector<float> tiled;
      const auto visit = [&](uint64_t first, uint64_t count, const float* w) -> Result<void> {
        EXPECT_EQ(first * length, tiled.size());
        tiled.insert(tiled.end(), w, w + count * length);
        return {};
      };
      ASSERT_TRUE(v.tiles(m_tensor, visit, m_job));
      EXPECT_EQ(tiled, **whole);
    }
  }
}

TEST_F(VariantTest, SharedCacheIsHitAcrossVariantsAndNotAcrossCodecs) {
  Variant a = variant(m_cache);
  Variant b = variant(m_cache);
  a.setTensor(m_tensor, m_codec);
  b.setTensor(m_tensor, m_codec);
  EXPECT_EQ(a.signatureOf(m_tensor), b.signatureOf(m_tensor));
  const auto first = a.weights(m_tensor, m_job);
  const auto second = b.weights(m_tensor, m_job);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->get(), second->get());
  b.setTensor(m_tensor, findCodec("q8_0"));
  EXPECT_NE(a.signatureOf(m_tensor), b.signatureOf(m_tensor));
  const auto other = b.weights(m_tensor, m_job);
  ASSERT_TRUE(other);
  EXPECT_NE(**other, **first);
}

TEST_F(VariantTest, CopyChangesOnItsOwn) {
  Variant a = variant(m_cache);
  Variant b = a.copy();
  b.setTensor(m_tensor, m_codec);
  EXPECT_FALSE(a.isChanged(m_tensor));
  EXPECT_TRUE(b.isChanged(m_tensor));
}

TEST_F(VariantTest, CacheStaysBelowItsLimitAndDropsTheLeastRecentlyUsed) {
  const uint64_t one = source(m_tensor).size() * sizeof(float);
  WeightCache cache(2 * one);
  const Variant v = variant(cache);
  const auto tensor = [&](const char* name) { return m_model->indexOf(*m_model->find(name)); };
  const size_t up0 = tensor("blk.0.ffn_up.weight");
  const size_t up1 = m_tensor;
  const size_t gate0 = tensor("blk.0.ffn_gate.weight");
  const auto first = v.weights(up0, m_job);
  const auto second = v.weights(up1, m_job);
  EXPECT_EQ(cache.bytes(), 2 * one);
  ASSERT_EQ(v.weights(up0, m_job)->get(), first->get());  // up1 is now the older one
  const auto third = v.weights(gate0, m_job);
  EXPECT_EQ(cache.bytes(), 2 * one);
  EXPECT_EQ(v.weights(up0, m_job)->get(), first->get());
  EXPECT_NE(v.weights(up1, m_job)->get(), second->get());
  EXPECT_EQ(**second, source(up1));  // what is held stays
}

TEST_F(VariantTest, PlanSetsWhatItNamesAndResetsTheRest) {
  Variant v = variant(m_cache);
  v.setTensor(0, m_codec);
  Plan plan;
  Choice choice;
  choice.tensor = m_tensor;
  choice.requested = choice.effective = m_codec;
  choice.method = findMethod("nearest");
  plan.tensors.push_back(choice);
  v.setPlan(plan);
  EXPECT_FALSE(v.isChanged(0));
  EXPECT_TRUE(v.isChanged(m_tensor));
  EXPECT_EQ(v.codecOf(m_tensor), m_codec);
}

TEST_F(VariantTest, ManyThreadsReadTheSameWeights) {
  Variant v = variant(m_cache);
  v.setTensor(m_tensor, m_codec);
  std::vector<DecodedWeights> seen(4);
  std::vector<std::thread> threads;
  for (DecodedWeights& slot : seen) {
    threads.emplace_back([&] {
      JobControl control;
      JobContext job(m_workers, control);
      auto weights = v.weights(m_tensor, job);
      if (weights) slot = *weights;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const DecodedWeights& weights : seen) {
    ASSERT_NE(weights, nullptr);
    EXPECT_EQ(*weights, *seen.front());
  }
}

TEST_F(VariantTest, UnknownArchitectureIsTheError) {
  std::string bytes = test::tinyModelBytes();
  for (size_t at = 0; (at = bytes.find("llama.", at)) != std::string::npos;) {
    bytes.replace(at, 6, "lloma.");
  }
  bytes.replace(bytes.find("llama"), 5, "lloma");
  test::writeFile(m_dir / "strange.gguf", bytes);
  auto model = Model::open(m_dir / "strange.gguf");
  ASSERT_TRUE(model) << model.error().message;
  const auto v = Variant::create(*model, m_cache);
  ASSERT_FALSE(v);
  EXPECT_EQ(v.error().code, ErrorCode::Unsupported);
  EXPECT_NE(v.error().message.find("lloma"), std::string::npos);
}

}  // namespace
}  // namespace bitloom
