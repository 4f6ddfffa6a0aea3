// The values of a codec's codes: chosen by comparing (levelOf, which the codec defines before), or
// with TABLES looked up in a table that the workgroup shares, which takes one instruction in place
// of seven on GPUs, and far more than seven on software devices.
#ifdef TABLES
#define LEVELS
shared float levels[LEVEL_COUNT];

// By all threads of a workgroup, of which there are LEVEL_COUNT at least, before the first use.
void prepareLevels() {
  if (gl_LocalInvocationIndex < LEVEL_COUNT) {
    levels[gl_LocalInvocationIndex] = levelOf(gl_LocalInvocationIndex);
  }
  barrier();
}

float levelAt(uint code) { return levels[code]; }
#else
float levelAt(uint code) { return levelOf(code); }
#endif
