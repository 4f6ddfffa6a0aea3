// SPDX-License-Identifier: GPL-3.0-or-later
// A transformer of random weights in every variation that the architectures know, as a GGUF file,
// and its logits by plain loops in double precision: the oracle of the forward pass. Shares no code
// with the product.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bitloom::test {

struct SmallTransformerOptions {
  std::string architecture = "llama";  // "qwen2", "qwen3": half-split rotation; qwen3: head norms
  uint32_t seed = 1;
  size_t blocks = 2;
  size_t vocabulary = 50;
  size_t width = 24;
  size_t heads = 4;
  size_t kvHeads = 2;
  size_t keyLength = 6;  // independent of width
  size_t valueLength = 10;
  size_t feedForward = 20;
  size_t rotated = 6;  // at most keyLength
  double ropeBase = 500;
  bool biases = false;  // on q, k, v and the output projection
  bool tiedHead = false;
  bool frequencyFactors = false;
  std::string scaling;  // "", "linear", "yarn" with factor 4 from 16 positions
};

class SmallTransformer {
 public:
  explicit SmallTransformer(const SmallTransformerOptions& options);

  std::string ggufBytes() const;
  // Logits after each token, from an empty context.
  std::vector<std::vector<double>> logits(const std::vector<int32_t>& tokens) const;

  // Weights as the file has them, to be changed before the next `logits`.
  std::vector<float>& values(const std::string& name) { return m_weights.at(name).values; }

 private:
  struct Weight {
    size_t columns;
    size_t rows;
    std::vector<float> values;
  };
  using Vector = std::vector<double>;

  void add(const std::string& name, size_t columns, size_t rows, double scale, double mean = 0);
  const Weight& weight(const std::string& name) const { return m_weights.at(name); }
  bool has(const std::string& name) const { return m_weights.contains(name); }
  Vector apply(const std::string& name, const Vector& x) const;
  Vector normalize(const std::string& name, const Vector& x) const;
  void rotate(Vector& heads, size_t count, size_t position) const;
  Vector mix(const Vector& q, const std::vector<Vector>& keys,
             const std::vector<Vector>& values) const;
  double speed(size_t pair) const;
  double rotationMagnitude() const;

  SmallTransformerOptions m_options;
  std::vector<std::string> m_order;
  std::map<std::string, Weight> m_weights;
  uint64_t m_random;
};

}  // namespace bitloom::test
