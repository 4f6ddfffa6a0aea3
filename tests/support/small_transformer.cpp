// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/small_transformer.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "tests/support/gguf_bytes.h"

namespace bitloom::test {

constexpr double kPi = 3.14159265358979323846;
constexpr float kEpsilon = 1e-5f;
constexpr double kScalingFactor = 4;
constexpr double kOriginalContext = 16;

SmallTransformer::SmallTransformer(const SmallTransformerOptions& options)
    : m_options(options), m_random(options.seed) {
  const auto& o = m_options;
  const double in = 1 / std::sqrt(double(o.width));
  add("token_embd.weight", o.width, o.vocabulary, 1);
  if (o.frequencyFactors) add("rope_freqs.weight", o.rotated / 2, 1, 0.3, 2);
  for (size_t b = 0; b < o.blocks; ++b) {
    const std::string p = "blk." + std::to_string(b) + ".";
    add(p + "attn_norm.weight", o.width, 1, 0.2, 1);
    add(p + "attn_q.weight", o.width, o.heads * o.keyLength, 2 * in);
    add(p + "attn_k.weight", o.width, o.kvHeads * o.keyLength, 2 * in);
    add(p + "attn_v.weight", o.width, o.kvHeads * o.valueLength, in);
    add(p + "attn_output.weight", o.heads * o.valueLength, o.width, in);
    if (o.biases) {
      add(p + "attn_q.bias", o.heads * o.keyLength, 1, 0.5);
      add(p + "attn_k.bias", o.kvHeads * o.keyLength, 1, 0.5);
      add(p + "attn_v.bias", o.kvHeads * o.valueLength, 1, 0.5);
      add(p + "attn_output.bias", o.width, 1, 0.5);
    }
    if (o.architecture == "qwen3") {
      add(p + "attn_q_norm.weight", o.keyLength, 1, 0.2, 1);
      add(p + "attn_k_norm.weight", o.keyLength, 1, 0.2, 1);
    }
    add(p + "ffn_norm.weight", o.width, 1, 0.2, 1);
    add(p + "ffn_gate.weight", o.width, o.feedForward, 2 * in);
    add(p + "ffn_up.weight", o.width, o.feedForward, in);
    add(p + "ffn_down.weight", o.feedForward, o.width, in);
  }
  add("output_norm.weight", o.width, 1, 0.2, 1);
  if (!o.tiedHead) add("output.weight", o.width, o.vocabulary, 2 * in);
}

void SmallTransformer::add(const std::string& name, size_t columns, size_t rows, double scale,
                           double mean) {
  Weight weight{columns, rows, {}};
  for (size_t i = 0; i < columns * rows; ++i) {
    double sum = 0;
    for (int j = 0; j < 4; ++j) {  // a linear congruential generator (Knuth, MMIX)
      m_random = m_random * 6364136223846793005ull + 1442695040888963407ull;
      sum += double(m_random >> 33) / double(1u << 31) - 0.5;
    }
    weight.values.push_back(float(mean + scale * sum * std::sqrt(3.0)));
  }
  m_order.push_back(name);
  m_weights.emplace(name, std::move(weight));
}

std::string SmallTransformer::ggufBytes() const {
  const auto& o = m_options;
  const std::string a = o.architecture + ".";
  GgufBytes gguf;
  gguf.key("general.architecture", o.architecture)
      .key(a + "block_count", uint32_t(o.blocks))
      .key(a + "context_length", uint32_t{256})
      .key(a + "embedding_length", uint32_t(o.width))
      .key(a + "feed_forward_length", uint32_t(o.feedForward))
      .key(a + "attention.head_count", uint32_t(o.heads))
      .key(a + "attention.head_count_kv", uint32_t(o.kvHeads))
      .key(a + "attention.key_length", uint32_t(o.keyLength))
      .key(a + "attention.value_length", uint32_t(o.valueLength))
      .key(a + "attention.layer_norm_rms_epsilon", kEpsilon)
      .key(a + "rope.dimension_count", uint32_t(o.rotated))
      .key(a + "rope.freq_base", float(o.ropeBase));
  if (!o.scaling.empty()) {
    gguf.key(a + "rope.scaling.type", o.scaling)
        .key(a + "rope.scaling.factor", float(kScalingFactor))
        .key(a + "rope.scaling.original_context_length", uint32_t(kOriginalContext));
  }
  for (const std::string& name : m_order) {
    const Weight& w = weight(name);
    std::vector<uint64_t> shape{w.columns};
    if (w.rows > 1) shape.push_back(w.rows);
    gguf.tensor(name, shape, kF32, floatBytes(w.values));
  }
  return gguf.build();
}

SmallTransformer::Vector SmallTransformer::apply(const std::string& name, const Vector& x) const {
  const Weight& w = weight(name + ".weight");
  Vector y(w.rows);
  for (size_t i = 0; i < w.rows; ++i) {
    for (size_t j = 0; j < w.columns; ++j) y[i] += double(w.values[i * w.columns + j]) * x[j];
    if (has(name + ".bias")) y[i] += double(weight(name + ".bias").values[i]);
  }
  return y;
}

// Each run as long as the weight is normalised on its own.
SmallTransformer::Vector SmallTransformer::normalize(const std::string& name,
                                                     const Vector& x) const {
  const std::vector<float>& w = weight(name + ".weight").values;
  Vector y(x.size());
  for (size_t first = 0; first < x.size(); first += w.size()) {
    double squares = 0;
    for (size_t i = 0; i < w.size(); ++i) squares += x[first + i] * x[first + i];
    const double root = std::sqrt(squares / double(w.size()) + double(kEpsilon));
    for (size_t i = 0; i < w.size(); ++i) y[first + i] = x[first + i] / root * double(w[i]);
  }
  return y;
}

double SmallTransformer::speed(size_t pair) const {
  const auto& o = m_options;
  double speed = std::pow(o.ropeBase, -double(2 * pair) / double(o.rotated));
  if (o.frequencyFactors) speed /= double(weight("rope_freqs.weight").values[pair]);
  if (o.scaling == "linear") return speed / kScalingFactor;
  if (o.scaling != "yarn") return speed;
  // Pairs between those that turn 32 times and once over the original context are blended.
  const auto pairThatTurns = [&](double turns) {
    return double(o.rotated) / 2 * std::log(kOriginalContext / (2 * kPi * turns)) /
           std::log(o.ropeBase);
  };
  const double low = std::max(std::floor(pairThatTurns(32)), 0.0);
  const double high = std::min(std::ceil(pairThatTurns(1)), double(o.rotated) - 1);
  const double slow = std::clamp((double(pair) - low) / std::max(high - low, 0.001), 0.0, 1.0);
  return speed * (1 - slow) + speed / kScalingFactor * slow;
}

double SmallTransformer::rotationMagnitude() const {
  return m_options.scaling == "yarn" ? 1 + 0.1 * std::log(kScalingFactor) : 1;
}

void SmallTransformer::rotate(Vector& heads, size_t count, size_t position) const {
  const auto& o = m_options;
  const bool adjacent = o.architecture == "llama";
  for (size_t head = 0; head < count; ++head) {
    double* h = &heads[head * o.keyLength];
    for (size_t pair = 0; pair < o.rotated / 2; ++pair) {
      double& x = adjacent ? h[2 * pair] : h[pair];
      double& y = adjacent ? h[2 * pair + 1] : h[pair + o.rotated / 2];
      const auto turned = std::complex<double>(x, y) *
                          std::polar(rotationMagnitude(), double(position) * speed(pair));
      x = turned.real();
      y = turned.imag();
    }
  }
}

SmallTransformer::Vector SmallTransformer::mix(const Vector& q, const std::vector<Vector>& keys,
                                               const std::vector<Vector>& values) const {
  const auto& o = m_options;
  Vector out(o.heads * o.valueLength);
  for (size_t head = 0; head < o.heads; ++head) {
    const size_t kv = head / (o.heads / o.kvHeads);
    Vector p(keys.size());
    double sum = 0;
    for (size_t j = 0; j < keys.size(); ++j) {
      double dot = 0;
      for (size_t i = 0; i < o.keyLength; ++i) {
        dot += q[head * o.keyLength + i] * keys[j][kv * o.keyLength + i];
      }
      sum += p[j] = std::exp(dot / std::sqrt(double(o.keyLength)));
    }
    for (size_t j = 0; j < keys.size(); ++j) {
      for (size_t i = 0; i < o.valueLength; ++i) {
        out[head * o.valueLength + i] += p[j] / sum * values[j][kv * o.valueLength + i];
      }
    }
  }
  return out;
}

std::vector<std::vector<double>> SmallTransformer::logits(
    const std::vector<int32_t>& tokens) const {
  const auto& o = m_options;
  std::vector<std::vector<Vector>> keys(o.blocks), values(o.blocks);
  std::vector<std::vector<double>> result;
  const auto addTo = [](Vector& x, const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  };
  for (size_t position = 0; position < tokens.size(); ++position) {
    const auto embedding = weight("token_embd.weight").values.begin() +
                           std::ptrdiff_t(size_t(tokens[position]) * o.width);
    Vector x(embedding, embedding + std::ptrdiff_t(o.width));
    for (size_t b = 0; b < o.blocks; ++b) {
      const std::string p = "blk." + std::to_string(b) + ".";
      const Vector in = normalize(p + "attn_norm", x);
      Vector q = apply(p + "attn_q", in);
      Vector k = apply(p + "attn_k", in);
      if (o.architecture == "qwen3") {
        q = normalize(p + "attn_q_norm", q);
        k = normalize(p + "attn_k_norm", k);
      }
      rotate(q, o.heads, position);
      rotate(k, o.kvHeads, position);
      keys[b].push_back(k);
      values[b].push_back(apply(p + "attn_v", in));
      addTo(x, apply(p + "attn_output", mix(q, keys[b], values[b])));
      const Vector feed = normalize(p + "ffn_norm", x);
      Vector gate = apply(p + "ffn_gate", feed);
      const Vector up = apply(p + "ffn_up", feed);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      addTo(x, apply(p + "ffn_down", gate));
    }
    result.push_back(apply(o.tiedHead ? "token_embd" : "output", normalize("output_norm", x)));
  }
  return result;
}

}  // namespace bitloom::test
