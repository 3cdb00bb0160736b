/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_VERSION_H
#define CULPRIT_VERSION_H

#ifndef CULPRIT_VERSION
#define CULPRIT_VERSION "0.1"
#endif

#endif
