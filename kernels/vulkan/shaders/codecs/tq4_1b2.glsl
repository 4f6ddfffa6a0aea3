#define BITS 4
#define GROUP 2u
#define LEVELS0 0x301f1105u
#define LEVELS0_HIGH 0x7f654e3du
#define LEVELS1 0x21150c04u
#define LEVELS1_HIGH 0x5846362au
#include "layouts/tq_1b.glsl"
