// Admission by secrets: each end proves to the other that it knows one that both know.
#include "control_plane.h"
