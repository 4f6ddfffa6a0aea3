// SPDX-License-Identifier: GPL-3.0-or-later
// The Python package `gguf` as an independent reader of what we write. Skips where it is absent;
// $BITLOOM_PYTHON names another interpreter than python3.
#include <cstdlib>

#include "core/codec.h"
#include "core/model.h"
#include "tests/support/process.h"

namespace bitloom {
namespace {

// Writes every tensor as f32 into one file, and its name and length on standard output.
constexpr const char* kDump = R"(
import sys
import numpy
from gguf import GGUFReader, quants
with open(sys.argv[2], "wb") as floats:
    for tensor in GGUFReader(sys.argv[1]).tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        print(tensor.name, values.size, tensor.tensor_type.name)
        floats.write(values.tobytes())
)";

struct Dump {
  std::string listing;
  std::vector<float> values;
};

class PythonGguf : public testing::Test {
 protected:
  void SetUp() override {
    const char* chosen = std::getenv("BITLOOM_PYTHON");
    m_python = chosen != nullptr ? chosen : "/usr/bin/python3";
    if (test::Process(m_python, {"-c", "import gguf"}, cli.dir()).wait().exit != 0) {
      GTEST_SKIP() << "needs the Python package gguf, which " << m_python << " does not have";
    }
    test::writeFile(cli.path("dump.py"), kDump);
  }

  Dump dump(const std::string& file) {
    const std::string floats = file + ".f32";
    const auto done =
        test::Process(m_python, {cli.path("dump.py"), file, floats}, cli.dir()).wait();
    EXPECT_EQ(done.exit, 0) << done.err;
    return {done.out, test::readFloats(floats)};
  }

  test::Cli cli;

 private:
  std::string m_python;
};

// The floats of `file` as it and we read them: the same tensors, bit for bit.
void expectSameFloats(const std::string& file, const Dump& theirs) {
  const auto model = Model::open(file);
  ASSERT_TRUE(model) << model.error().message;
  std::string listing;
  size_t at = 0;
  for (const Tensor& tensor : (*model)->tensors()) {
    std::vector<float> ours(tensor.weights());
    const uint64_t length = tensor.rowLength(), bytes = tensor.codec->rowBytes(length);
    for (uint64_t row = 0; row < tensor.rows(); ++row) {
      tensor.codec->decode(tensor.bytes.subspan(row * bytes, bytes),
                           std::span(ours).subspan(row * length, length));
    }
    ASSERT_LE(at + ours.size(), theirs.values.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(ours.data(), &theirs.values[at], ours.size() * sizeof(float)), 0)
        << tensor.name << " in " << tensor.type;
    at += ours.size();
    EXPECT_NE(theirs.listing.find(tensor.name + ' ' + std::to_string(ours.size()) + ' '),
              std::string::npos)
        << tensor.name;
  }
  EXPECT_EQ(at, theirs.values.size());
}

TEST_F(PythonGguf, ReadsAnExportedMainlineFileToOurFloats) {
  test::writeFile(cli.path("r.json"), R"({"version": 1, "name": "all", "rules": [
      {"pattern": "*.weight", "codec": "q4_0"},
      {"pattern": "*.attn_q.weight", "codec": "q8_0"},
      {"pattern": "*.attn_k.weight", "codec": "q4_1"},
      {"pattern": "*.attn_v.weight", "codec": "q5_0"},
      {"pattern": "*.ffn_gate.weight", "codec": "q5_1"},
      {"pattern": "*.ffn_up.weight", "codec": "bf16"},
      {"pattern": "*.ffn_down.weight", "codec": "f16"}]})");
  const auto made = cli.run({"export", "builtin", "--recipe", cli.path("r.json"), "--format",
                             "gguf-mainline", "-o", cli.path("e.gguf")});
  ASSERT_EQ(made.exit, 0) << made.err;
  const Dump theirs = dump(cli.path("e.gguf"));
  for (const char* type : {"Q4_0", "Q8_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16", "F32"}) {
    EXPECT_NE(theirs.listing.find(std::string(" ") + type + "\n"), std::string::npos) << type;
  }
  expectSameFloats(cli.path("e.gguf"), theirs);
}

TEST_F(PythonGguf, ReadsACalibrationFile) {
  const auto made =
      cli.run({"calibrate", "builtin", "--chunks", "2", "--ctx", "64", "-o", cli.path("c.gguf")});
  ASSERT_EQ(made.exit, 0) << made.err;
  const Dump theirs = dump(cli.path("c.gguf"));
  EXPECT_NE(theirs.listing.find("blk.0.attn_q.weight.in_sum2 "), std::string::npos);
  EXPECT_NE(theirs.listing.find("blk.11.ffn_down.weight.counts "), std::string::npos);
  expectSameFloats(cli.path("c.gguf"), theirs);
}

}  // namespace
}  // namespace bitloom
