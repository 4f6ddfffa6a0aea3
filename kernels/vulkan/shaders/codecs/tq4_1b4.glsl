#define BITS 4
#define GROUP 4u
#define LEVELS0 0x2e201206u
#define LEVELS0_HIGH 0x7f654e3cu
#define LEVELS1 0x20160d04u
#define LEVELS1_HIGH 0x5846362au
#include "layouts/tq_1b.glsl"
