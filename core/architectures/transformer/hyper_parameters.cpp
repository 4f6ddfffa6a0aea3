// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architectures/transformer/hyper_parameters.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/base/strings.h"

namespace bitloom {
namespace {

// More than any model has; products of two such numbers stay far from overflow.
constexpr uint64_t kLargest = 1u << 24;

class Keys {
 public:
  explicit Keys(const Model& model)
      : m_model(model),
        m_prefix(std::string(*model.metadata().stringOf("general.architecture")) + ".") {}

  std::string name(std::string_view key) const { return m_prefix + std::string(key); }
  const Metadata& metadata() const { return m_model.metadata(); }

  template <typename... Parts>
  Error error(ErrorCode code, const Parts&... parts) const {
    return makeError(code, m_model.path().filename().string(), ": ", parts...);
  }

  // A whole number in [1, 2²⁴]; `fallback` 0 means that the key is required.
  Result<uint32_t> count(std::string_view key, uint64_t fallback = 0) const {
    const std::string full = name(key);
    if (metadata().find(full) == nullptr) {
      if (fallback == 0) return error(ErrorCode::Corrupt, "the key ", full, " is missing.");
      return static_cast<uint32_t>(fallback);
    }
    if (metadata().arrayOf(full) != nullptr) return perBlock(full);
    const auto value = metadata().unsignedOf(full);
    if (!value || *value == 0 || *value > kLargest) {
      return error(ErrorCode::Corrupt, "the key ", full, " is ", display(*metadata().find(full)),
                   ", not a whole number from 1 to ", kLargest, ".");
    }
    return static_cast<uint32_t>(*value);
  }

  // A finite number above zero.
  Result<double> positive(std::string_view key, double fallback) const {
    const std::string full = name(key);
    if (metadata().find(full) == nullptr) return fallback;
    const auto value = metadata().numberOf(full);
    if (!value || !std::isfinite(*value) || *value <= 0) {
      return error(ErrorCode::Corrupt, "the key ", full, " is ", display(*metadata().find(full)),
                   ", not a number above 0.");
    }
    return *value;
  }

 private:
  // Some writers give one number for each block; equal ones are as good as one.
  Result<uint32_t> perBlock(const std::string& full) const {
    const MetaArray& array = *metadata().arrayOf(full);
    const bool numbers = array.strings.empty() && array.size() > 0;
    const double first = numbers ? array.number(0) : 0;
    bool equal = first >= 1 && first <= double(kLargest) && first == std::floor(first);
    for (size_t i = 1; equal && i < array.size(); ++i) equal = array.number(i) == first;
    if (!equal) {
      return error(ErrorCode::Unsupported, "the key ", full,
                   " differs between blocks, which this version does not compute.");
    }
    return static_cast<uint32_t>(first);
  }

  const Model& m_model;
  std::string m_prefix;
};

Result<void> refuseExperts(const Keys& keys) {
  const std::string key = keys.name("expert_count");
  const uint64_t experts = keys.metadata().unsignedOf(key).value_or(0);
  if (experts > 0) {
    return keys.error(ErrorCode::Unsupported, "the key ", key, " is ", experts,
                      ", and models with experts are not computed by this version.");
  }
  return {};
}

// Keys of the GGUF specification; yarn_* are those that llama.cpp's converter writes.
Result<void> readScaling(const Keys& keys, RopeParameters& rope, uint32_t contextLength) {
  const auto type = keys.metadata().stringOf(keys.name("rope.scaling.type"));
  if (!type) {
    TRY(const double older, keys.positive("rope.scale_linear", 1));
    rope.frequencyScale = 1 / older;
    return {};
  }
  if (*type == "none") return {};
  TRY(const double factor, keys.positive("rope.scaling.factor", 1));
  if (*type == "linear") {
    rope.frequencyScale = 1 / factor;
    return {};
  }
  if (*type != "yarn") {
    return keys.error(ErrorCode::Unsupported, "the key ", keys.name("rope.scaling.type"), " is \"",
                      validUtf8(*type), "\", and this version computes none, linear and yarn.");
  }
  rope.yarnFactor = factor;
  // arXiv 2309.00071, eq. 22: 0.1 · ln s + 1 on both q and k.
  TRY(const double attention, keys.positive("rope.scaling.attn_factor", 1));
  rope.yarnAttention = attention * (1 + 0.1 * std::log(factor));
  TRY(rope.yarnBetaFast, keys.positive("rope.scaling.yarn_beta_fast", 32));
  TRY(rope.yarnBetaSlow, keys.positive("rope.scaling.yarn_beta_slow", 1));
  TRY(rope.originalContext, keys.count("rope.scaling.original_context_length", contextLength));
  return {};
}

Result<void> readRope(const Keys& keys, HyperParameters& numbers) {
  RopeParameters& rope = numbers.rope;
  TRY(rope.rotated, keys.count("rope.dimension_count", numbers.keyLength));
  if (rope.rotated > numbers.keyLength || rope.rotated % 2 != 0) {
    return keys.error(ErrorCode::Corrupt, "the key ", keys.name("rope.dimension_count"), " is ",
                      rope.rotated, ", not an even number up to the head width ", numbers.keyLength,
                      ".");
  }
  TRY(rope.base, keys.positive("rope.freq_base", 10000));
  return readScaling(keys, rope, numbers.contextLength);
}

Result<void> readHeads(const Keys& keys, HyperParameters& numbers) {
  TRY(numbers.heads, keys.count("attention.head_count"));
  TRY(numbers.kvHeads, keys.count("attention.head_count_kv", numbers.heads));
  if (numbers.heads % numbers.kvHeads != 0) {
    return keys.error(ErrorCode::Corrupt, numbers.heads, " attention heads cannot share ",
                      numbers.kvHeads, " key heads evenly.");
  }
  const uint32_t usual = numbers.width / numbers.heads;
  TRY(numbers.keyLength, keys.count("attention.key_length", usual));
  TRY(numbers.valueLength, keys.count("attention.value_length", usual));
  const uint64_t widest = std::max(numbers.keyLength, numbers.valueLength);
  if (numbers.heads * widest > kLargest) {
    return keys.error(ErrorCode::Corrupt, numbers.heads, " heads of ", widest,
                      " values are more than ", kLargest, " values.");
  }
  return {};
}

}  // namespace

Result<HyperParameters> readHyperParameters(const Model& model) {
  const Keys keys(model);
  TRY(refuseExperts(keys));
  HyperParameters numbers;
  TRY(numbers.blocks, keys.count("block_count"));
  TRY(numbers.width, keys.count("embedding_length"));
  TRY(numbers.feedForward, keys.count("feed_forward_length"));
  TRY(numbers.contextLength, keys.count("context_length"));
  TRY(readHeads(keys, numbers));
  const std::string epsilonKey = keys.name("attention.layer_norm_rms_epsilon");
  if (model.metadata().find(epsilonKey) == nullptr) {
    return keys.error(ErrorCode::Corrupt, "the key ", epsilonKey, " is missing.");
  }
  TRY(const double epsilon, keys.positive("attention.layer_norm_rms_epsilon", 0));
  numbers.epsilon = static_cast<float>(epsilon);
  TRY(readRope(keys, numbers));
  return numbers;
}

}  // namespace bitloom
